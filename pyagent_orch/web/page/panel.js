// One task in full: its input, output, text so far, error and attempts; what can be done with it.

import { act, get } from "./api.js";
import { el, show } from "./dom.js";
import { ago, cost, duration, full, isFinal, MARKS, moment, took } from "./format.js";

const LONG = 20000; // characters of a text that are shown at once

/** The panel beside a run that shows what was pressed. */
export class Panel {
  constructor({ readOnly }) {
    this.readOnly = readOnly;
    this.text = new Map();
    this.element = el("aside.panel.task", { "aria-label": "Task", hidden: true });
  }

  /** Show one task, or the list of a group to choose from. */
  async open(ids, tasks, { focus = true } = {}) {
    this.element.hidden = false;
    if (ids.length > 1) {
      this.id = null;
      this.list(ids.map((id) => tasks.get(id)), tasks);
    } else await this.one(ids[0]);
    if (focus) {
      this.element.querySelector("h2")?.focus();
      this.element.scrollIntoView({ block: "nearest" });
    }
  }

  close() {
    this.id = null;
    this.element.hidden = true;
  }

  /** Something happened to a task: read it again if it is the one in sight. */
  async changed(id) {
    if (id === this.id) await this.one(id);
  }

  /** Read the task in sight again if it has moved since. */
  async compare(tasks) {
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
    show(place.querySelector("pre"), text.slice(-LONG));
  }

  list(tasks, all) {
    const rows = tasks.slice(0, 500).map((task) =>
      el("li", {}, el("button.plain", { onclick: () => this.open([task.id], all) },
        el("span.mark", { "data-status": task.status }, MARKS[task.status]), ` ${task.name} – ${task.status}`)));
    show(this.element, this.head(`${tasks.length} tasks`), el("ul.members", {}, rows),
      tasks.length > 500 && el("p.quiet", {}, "More are in the list of tasks."));
  }

  async one(id) {
    this.id = id;
    const task = await get(`tasks/${encodeURIComponent(id)}`);
    if (this.id !== id) return;
    this.stage = stage(task);
    const { status, error } = task;
    const facts = [
      ["State", el("span.status", { "data-status": status }, `${MARKS[status]} ${status}`)],
      ["Id", el("code", {}, task.id)],
      ["Took", duration(took(task))],
      ["Waited", task.started_at && duration((Date.parse(task.started_at) - Date.parse(task.created_at)) / 1000)],
      ["Submitted", task.created_at && `${moment(task.created_at)} (${ago(task.created_at)})`],
      ["Attempts", task.attempts],
      ["Worker", task.worker],
      ["Queue", `${task.queue}, priority ${task.priority}`],
      ["Model", task.usage?.model],
      ["Cost", cost(task.usage)],
      ["Key", task.key],
    ];
    const streamed = el("section.streamed", { hidden: true, "aria-live": "off" }, el("h3", {}, "Text so far"), el("pre"));
    show(this.element, this.head(task.name),
      el("dl.facts", {}, facts.filter(([, value]) => value !== null && value !== undefined && value !== "").map(
        ([label, value]) => [el("dt", {}, label), el("dd", {}, value)])),
      this.actions(task),
      error && el("section.failure", {}, el("h3", {}, "Error"), el("pre", {}, `${error.type}: ${error.message}`),
        error.traceback && el("details", {}, el("summary", {}, "Traceback"), el("pre", {}, error.traceback))),
      block("Input", task.input),
      !isFinal(status) && streamed,
      status === "completed" && block("Output", task.output),
      Object.keys(task.metadata ?? {}).length > 0 && block("Metadata", task.metadata));
    const text = this.text.get(id);
    if (text && !isFinal(status)) this.draw_text(text);
  }

  head(title) {
    return el("header", {}, el("h2", { tabindex: -1 }, title),
      el("button.plain.close", { onclick: () => this.close(), "aria-label": "Close the task" }, "×"));
  }

  actions(task) {
    if (this.readOnly) return null;
    const path = `tasks/${encodeURIComponent(task.id)}`;
    const run = (what, said) => async () => {
      if (await act(`${path}/${what}`, said)) await this.changed(task.id);
    };
    return el("p.actions", {},
      !isFinal(task.status) && el("button.danger", { onclick: run("cancel", "Cancelled.") }, "Cancel"),
      ["failed", "cancelled"].includes(task.status) && el("button", { onclick: run("retry", "It is tried again.") }, "Retry"));
  }
}

// What tells two looks at a task apart.
const stage = (task) => [task.status, task.attempts, task.started_at, task.completed_at].join(" ");

function block(title, value) {
  if (value === null || value === undefined) return null;
  const text = full(value);
  const place = el("pre", { tabindex: text.length > 400 ? 0 : null, role: text.length > 400 ? "region" : null,
    "aria-label": text.length > 400 ? title : null }, text.slice(0, LONG));
  const more = text.length > LONG && el("button", { onclick: () => { show(place, text); more.remove(); } },
    `Show all ${text.length.toLocaleString()} characters`);
  return el("section", {}, el("h3", {}, title), place, more);
}
