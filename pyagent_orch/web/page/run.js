// One run, a workflow or a single task, as it moves: graph, timeline, list, and the task in sight.

import { act, get } from "./api.js";
import { el, renew, show } from "./dom.js";
import { ago, costInFull, duration, full, isFinal, MARKS, preview, STATES, took } from "./format.js";
import { GraphView } from "./graph.js";
import { follow } from "./live.js";
import { needsOf } from "./needs.js";
import { Panel } from "./panel.js";
import { TaskList } from "./tasklist.js";
import { Timeline } from "./timeline.js";

const MOVES = {
  "task.submitted": "pending",
  "task.started": "running",
  "task.retried": "retrying",
  "task.completed": "completed",
  "task.failed": "failed",
  "task.cancelled": "cancelled",
  "task.skipped": "skipped",
  "task.requeued": "pending",
  "task.released": "pending",
  "task.recovered": "pending",
  "task.expanded": "pending",
};
const CALM = 250; // milliseconds between two drawings

/** Show a run; returns what ends it. */
export async function open(place, { kind, id, query, readOnly }) {
  const run = new Run(place, kind, id, readOnly);
  await run.load();
  const task = query.get("task");
  if (run.tasks.has(task)) await run.panel.open([task], run.tasks, { focus: false });
  run.follow();
  return () => run.close();
}

// What a workflow came to is read when somebody opens it.
function output(path) {
  const place = el("pre", { tabindex: 0 }, "Loading …");
  const read = async ({ target }) => {
    if (target.open) show(place, full((await get(`${path}/output`)).output).slice(0, 1e6));
  };
  return el("details", { ontoggle: read }, el("summary", {}, "Output"), place);
}

class Run {
  constructor(place, kind, id, readOnly) {
    Object.assign(this, { place, kind, id, readOnly, tasks: new Map(), view: null, shown: null });
    this.path = `${kind}s/${encodeURIComponent(id)}`;
    this.panel = new Panel({ readOnly, alone: kind === "task",
      chosen: (task) => this.chosen(task), acted: () => this.again() });
    this.head = el("header.run");
    this.bar = el("div.bars", { role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0 });
    this.output = output(this.path);
    this.stage = el("div.stage");
    this.tabs = el("div.tabs", { role: "tablist", "aria-label": "How the run is shown", onkeydown: (event) => this.key(event) });
    const several = kind === "workflow";
    show(place, this.head, several && this.bar, several && this.output, several && this.tabs, el("div.split", {}, several && this.stage, this.panel.element));
    this.clock = setInterval(() => this.isOpen() && this.draw(), 1000);
  }

  // The address says which task is in sight, so that it can be sent to somebody.
  chosen(id) {
    if (this.kind !== "workflow") return;
    const before = this.shown;
    this.shown = id;
    this.view?.choosing(id);
    history.replaceState(null, "", `#/workflow/${encodeURIComponent(this.id)}${id ? `?task=${encodeURIComponent(id)}` : ""}`);
    if (!id && before) this.view?.focus(before);
  }

  async load() {
    this.record = await get(this.path);
    const { tasks = [this.record], edges = {} } = this.record;
    const needs = needsOf(tasks, edges);
    this.tasks = new Map(tasks.map((task) => [task.id, { ...task, needs: needs.get(task.id) }]));
    document.title = `${preview(this.record.name)} – pyagent_orch`;
    if (this.kind === "task" && !this.panel.id) await this.panel.open([this.id], this.tasks, { focus: false });
    else await this.panel.compare(this.tasks);
    if (this.kind === "workflow" && !this.view) this.choose(localStorage.getItem("view") ?? "graph");
    this.draw();
  }

  follow() {
    this.end = follow(`${this.path}/events`, { after: this.record.as_of }, {
      event: (event) => this.told(event),
      text: (piece) => this.panel.piece(piece),
      snapshot: () => this.later(true),
      end: () => this.later(true),
    });
  }

  // Something final may move again: its stream had come to an end.
  async again() {
    await this.load();
    this.end?.();
    if (!this.isClosed) this.follow();
  }

  close() {
    this.isClosed = true;
    this.end?.();
    clearInterval(this.clock);
    clearTimeout(this.timer);
    this.view?.close?.();
  }

  isOpen() {
    return !isFinal(this.record.status);
  }

  // Events change what is in sight at once; the record is read again a moment later, for what no
  // event tells (usage, progress, new tasks).
  told({ type, subject, data, at }) {
    const task = this.tasks.get(subject);
    const state = MOVES[type];
    if (task && state) {
      task.status = state;
      if (state === "running") Object.assign(task, { started_at: task.started_at ?? at, completed_at: null, worker: data.worker });
      if (isFinal(state)) task.completed_at = at;
      if (data?.attempt) task.attempts = Number(data.attempt);
      this.panel.changed(subject);
    }
    this.later(!task || !state || this.tasks.size < 300 || type.startsWith("workflow."));
  }

  later(read) {
    this.read ||= read;
    if (this.timer) return;
    this.timer = setTimeout(async () => {
      this.timer = null;
      const again = this.read;
      this.read = false;
      if (again) await this.load().catch(() => {});
      else this.draw();
    }, CALM);
  }

  draw() {
    const { record } = this;
    const tasks = [...this.tasks.values()];
    const counts = new Map(STATES.map((state) => [state, tasks.filter((task) => task.status === state).length]));
    const done = tasks.filter((task) => isFinal(task.status)).length;
    const several = this.kind === "workflow";
    const facts = [
      several && `${done} of ${tasks.length} tasks${counts.get("failed") ? `, ${counts.get("failed")} failed` : ""}`,
      duration(took(record)),
      several && costInFull(record.usage),
      record.created_at && `submitted ${ago(record.created_at)}`,
      record.pattern && record.pattern.replaceAll("_", " "),
      ...Object.entries(record.metadata ?? {}).slice(0, 6).map(([key, value]) => `${key}: ${typeof value === "string" ? value.slice(0, 60) : JSON.stringify(value).slice(0, 60)}`),
    ].filter(Boolean);
    renew(this.head,
      el("p.crumbs", {}, el("a", { href: several ? "#/runs" : "#/runs?kind=tasks" }, several ? "Workflows" : "Tasks"), " / ", el("code", {}, record.id)),
      el("div.title", {}, el("h1", {}, preview(record.name, 300)), el("span.status.pill", { "data-status": record.status }, `${MARKS[record.status]} ${record.status}`), this.actions()),
      el("p.quiet.facts-line", {}, facts.map((fact) => el("span", {}, fact))),
      typeof record.error === "string" && record.error && el("p.failure", {}, record.error));
    this.progress(counts, done, tasks.length);
    this.output.hidden = record.status !== "completed";
    if (this.output.hidden) this.output.open = false;
    this.view?.update(tasks);
  }

  // How many tasks are in each state, as parts of one bar.
  progress(counts, done, all) {
    this.bar.setAttribute("aria-valuemax", all);
    this.bar.setAttribute("aria-valuenow", done);
    this.bar.setAttribute("aria-valuetext", `${done} of ${all} tasks are final`);
    const parts = ["completed", "failed", "cancelled", "skipped", "running", "retrying"].filter((state) => counts.get(state));
    show(this.bar, parts.map((state) => {
      const part = el("span", { "data-status": state, title: `${counts.get(state)} ${state}` });
      part.style.width = `${(100 * counts.get(state)) / all}%`;
      return part;
    }));
  }

  actions() {
    if (this.readOnly || this.kind === "task") return null;
    const run = (what, said) => async () => {
      if (await act(`${this.path}/${what}`, said)) await this.again();
    };
    const anew = async () => {
      const made = await act(`${this.path}/rerun`, "A new run has begun.");
      if (made) location.hash = `#/workflow/${encodeURIComponent(made.id)}`;
    };
    return el("span.actions", {},
      this.isOpen() && el("button.danger", { onclick: run("cancel", "Cancelled.") }, "Cancel the run"),
      ["failed", "cancelled"].includes(this.record.status) &&
        el("button.main", { onclick: run("retry-failed", "What had failed is tried again.") }, "Retry what failed"),
      !this.isOpen() && el("button", { onclick: anew, title: "A new run of all its tasks, under a new id" }, "Run anew"));
  }

  choose(name) {
    const kinds = { graph: ["Graph", GraphView], timeline: ["Timeline", Timeline], list: ["List", TaskList] };
    const [, View] = kinds[name] ?? kinds.graph;
    this.view?.close?.();
    this.view = new View((ids) => this.panel.open(ids, this.tasks));
    localStorage.setItem("view", name);
    show(this.tabs, Object.entries(kinds).map(([key, [label]]) =>
      el("button", { role: "tab", id: `tab-${key}`, "aria-controls": "stage", "aria-selected": String(key === name), tabindex: key === name ? 0 : -1,
        onclick: () => { this.choose(key); this.tabs.querySelector(`#tab-${key}`).focus(); } }, label)));
    Object.assign(this.stage, { id: "stage" });
    this.stage.setAttribute("role", "tabpanel");
    this.stage.setAttribute("aria-labelledby", `tab-${name}`);
    show(this.stage, this.view.element);
    this.view.update([...this.tasks.values()]);
    this.view.choosing(this.shown);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...this.tabs.children];
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].click();
  }
}
