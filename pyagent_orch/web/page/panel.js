// One task in full: its input, output, text so far, errors and attempts; what can be done with it.

import { act, get } from "./api.js";
import { copyButton, el, renew, show } from "./dom.js";
import { ago, costInFull, duration, full, isFinal, MARKS, moment, preview, took } from "./format.js";
import { history } from "./history.js";

const LONG = 20000; // characters of a text that are shown at once
const NEIGHBOURS = 12; // names that are listed of what a task waits for

/** The panel beside a run that shows what was pressed. */
export class Panel {
  /**
   * @param {object} about
   * @param {boolean} about.readOnly whether nothing can be changed
   * @param {(id: string|null) => void} about.chosen called with the task in sight, null when none is
   * @param {() => void} about.acted called when something was done with a task
   * @param {boolean} about.alone whether the panel is all there is, and stays open
   */
  constructor({ readOnly, chosen, acted, alone }) {
    Object.assign(this, { readOnly, chosen, acted, alone });
    this.text = new Map();
    this.tasks = new Map();
    this.element = el(`aside.panel.task${alone ? ".alone" : ""}`, { "aria-label": "Task", hidden: true,
      onkeydown: (event) => event.key === "Escape" && !alone && this.close() });
  }

  /** Show one task, or the list of a group to choose from. */
  async open(ids, tasks, { focus = true } = {}) {
    this.tasks = tasks;
    this.element.hidden = false;
    if (ids.length > 1) {
      this.id = null;
      this.list(ids.map((id) => tasks.get(id)));
    } else {
      this.id = null;
      await this.one(ids[0]);
    }
    this.chosen(this.id);
    if (focus) {
      this.element.querySelector("h2")?.focus();
      // On a narrow screen it is below the graph.
      if (matchMedia("(max-width: 56rem)").matches) this.element.scrollIntoView({ block: "start" });
    }
  }

  close() {
    this.id = null;
    this.element.hidden = true;
    this.chosen(null);
  }

  /** Something happened to a task: read it again if it is the one in sight. */
  async changed(id) {
    if (id === this.id) await this.one(id);
  }

  /** Read the task in sight again if it has moved since. */
  async compare(tasks) {
    this.tasks = tasks;
    const task = tasks.get(this.id);
    if (task && stage(task) !== this.stage) await this.one(this.id);
  }

  /** A piece of streamed text; one at offset 0 drops what came before. */
  piece({ task: id, attempt, text, offset }) {
    const known = offset === 0 ? "" : this.text.get(id)?.text ?? "";
    const next = { attempt, text: known + text };
    this.text.set(id, next);
    if (id === this.id) this.draw_text(next);
  }

  draw_text({ attempt, text }) {
    const place = this.element.querySelector(".streamed");
    if (!place) return;
    place.hidden = false;
    place.querySelector("h3").textContent = attempt > 1 ? `Text so far (attempt ${attempt})` : "Text so far";
    const sheet = place.querySelector("pre");
    // Who has scrolled up reads; else the end stays in sight.
    const follows = sheet.scrollTop + sheet.clientHeight >= sheet.scrollHeight - 20;
    show(sheet, text.slice(-LONG));
    if (follows) sheet.scrollTop = sheet.scrollHeight;
  }

  list(tasks) {
    const rows = tasks.slice(0, 500).map((task) => el("li", {}, this.link(task), ` – ${task.status}`));
    show(this.element, this.head(`${tasks.length} tasks`), el("ul.members", {}, rows),
      tasks.length > 500 && el("p.quiet", {}, "More are in the list of tasks."));
  }

  link(task) {
    return el("button.plain", { onclick: () => this.open([task.id], this.tasks) },
      el("span.mark", { "data-status": task.status }, MARKS[task.status]), ` ${preview(task.name, 120)}`);
  }

  async one(id) {
    const first = this.id !== id;
    this.id = id;
    let task;
    try {
      task = await get(`tasks/${encodeURIComponent(id)}`);
    } catch (error) {
      // It may have expired, or the server be away for a moment.
      if (this.id === id && first) show(this.element, this.head(this.tasks.get(id)?.name ?? id), el("p.failure", {}, error.message));
      return;
    }
    if (this.id !== id) return;
    this.stage = stage(task);
    const { status, error } = task;
    const streamed = el("section.streamed", { hidden: true, "aria-live": "off" }, el("h3", {}, "Text so far"), el("pre", { tabindex: 0, "aria-label": "Text so far", role: "region" }));
    (first ? show : renew)(this.element, !this.alone && this.head(task.name, status),
      el("div.about", {}, this.facts(task), this.actions(task),
        error && el("section.failure", {}, block(status === "failed" ? "Error" : "Last error", `${error.type}: ${error.message}`),
          error.traceback && el("details", {}, el("summary", {}, "Traceback"), block("Traceback", error.traceback, false))),
        history(task)),
      el("div.content", {},
        task.agent?.instructions && block("Instructions", task.agent.instructions),
        block("Input", task.input) ?? this.madeInput(task),
        !isFinal(status) && streamed,
        status === "completed" && block("Output", task.output),
        Object.keys(task.metadata ?? {}).length > 0 && block("Metadata", task.metadata)));
    const text = this.text.get(id);
    if (text && !isFinal(status)) this.draw_text(text);
  }

  facts(task) {
    const around = this.tasks.get(task.id)?.needs ?? [];
    const after = [...this.tasks.values()].filter((one) => one.needs?.includes(task.id)).map((one) => one.id);
    const { name, kind } = task.agent ?? {};
    const agent = [name !== kind && name, KINDS[kind]].filter(Boolean).join(", ");
    const facts = [
      ["Agent", agent],
      ["Model", task.usage?.model ?? task.agent?.model],
      ["Cost", costInFull(task.usage)],
      ["Took", task.started_at && el("span", {}, duration(took(task)), task.timeout && el("span.quiet", {}, ` of ${duration(task.timeout)} for each attempt`))],
      ["Attempts", task.attempts > 1 && task.attempts],
      ["Waits for", this.names(around)],
      ["Needed by", this.names(after)],
      ["In run", task.workflow && this.alone && el("a", { href: `#/workflow/${encodeURIComponent(task.workflow)}?task=${encodeURIComponent(task.id)}` }, "Show it in its run")],
      ["Submitted", task.created_at && `${moment(task.created_at)} (${ago(task.created_at)})`],
      ["Started", task.started_at && `${moment(task.started_at)}, ${duration((Date.parse(task.started_at) - Date.parse(task.created_at)) / 1000)} after that`],
      ["Worker", task.worker],
      ["Queue", `${task.queue}, priority ${task.priority}`],
      ["Key", task.key && el("code", {}, task.key)],
      ["Id", el("span", {}, el("code", {}, task.id), " ", copyButton("the id", () => task.id))],
    ];
    return el("dl.facts", {}, facts.filter(([, value]) => value).map(([label, value]) => [el("dt", {}, label), el("dd", {}, value)]));
  }

  names(ids) {
    const known = ids.map((id) => this.tasks.get(id)).filter(Boolean);
    if (!known.length) return null;
    return el("span.names", {}, known.slice(0, NEIGHBOURS).map((task) => this.link(task)),
      known.length > NEIGHBOURS && el("span.quiet", {}, `and ${known.length - NEIGHBOURS} more`));
  }

  // The input is known when all that it is made of is.
  madeInput(task) {
    const waits = this.tasks.get(task.id)?.needs?.length;
    return !isFinal(task.status) && waits ? el("section", {}, el("h3", {}, "Input"), el("p.quiet", {}, "Made of what it waits for.")) : null;
  }

  head(title, status) {
    return el("header", {},
      el("h2", { tabindex: -1 }, preview(title, 300)), status && el("span.status.pill", { "data-status": status }, `${MARKS[status]} ${status}`),
      el("button.plain.close", { onclick: () => this.close(), "aria-label": "Close the task" }, "×"));
  }

  actions(task) {
    if (this.readOnly) return null;
    const path = `tasks/${encodeURIComponent(task.id)}`;
    const run = (what, said) => async () => {
      if (!(await act(`${path}/${what}`, said))) return;
      await this.changed(task.id);
      await this.acted();
    };
    return el("p.actions", {},
      !isFinal(task.status) && el("button.danger", { onclick: run("cancel", "Cancelled.") }, "Cancel"),
      ["failed", "cancelled"].includes(task.status) && el("button", { onclick: run("retry", "It is tried again.") }, "Retry"));
  }
}

const KINDS = { model: "a model", flow: "a pattern or loop", celery: "a Celery task", local: "a function of the submitting process" };

// What tells two looks at a task apart.
const stage = (task) => [task.status, task.attempts, task.started_at, task.completed_at].join(" ");

function block(title, value, titled = true) {
  if (value === null || value === undefined) return null;
  const text = full(value);
  const place = el("pre", { tabindex: text.length > 400 ? 0 : null, role: text.length > 400 ? "region" : null,
    "aria-label": text.length > 400 ? title : null }, text.slice(0, LONG));
  const more = text.length > LONG && el("button", { onclick: () => { show(place, text); more.remove(); } },
    `Show all ${text.length.toLocaleString()} characters`);
  return el("section", {}, el("header", {}, titled && el("h3", {}, title), copyButton(`the ${title.toLowerCase()}`, () => text)), place, more);
}
