// One run, a workflow or a single task, as it moves: graph, timeline, list, and the task in sight.

import { act, get } from "./api.js";
import { el, show } from "./dom.js";
import { ago, cost, duration, full, isFinal, MARKS, preview, took } from "./format.js";
import { GraphView } from "./graph.js";
import { follow } from "./live.js";
import { Panel } from "./panel.js";
import { Rows } from "./rows.js";
import { Timeline } from "./timeline.js";

const STATES = {
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
};
const CALM = 250; // milliseconds between two drawings

/** Show a run; returns what ends it. */
export async function open(place, { kind, id, readOnly }) {
  const run = new Run(place, kind, id, readOnly);
  await run.load();
  run.follow();
  return () => run.close();
}

// A task waits for what its edges name; a task that another one has added stands behind that one.
function needsOf(task, edges) {
  const needs = edges[task.id] ?? [];
  return needs.length || !task.parent ? needs : [task.parent];
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
    Object.assign(this, { place, kind, id, readOnly, tasks: new Map(), view: null });
    this.path = `${kind}s/${encodeURIComponent(id)}`;
    this.panel = new Panel({ readOnly });
    this.head = el("header.run");
    this.output = output(this.path);
    this.stage = el("div.stage");
    this.tabs = el("div.tabs", { role: "tablist", "aria-label": "How the run is shown", onkeydown: (event) => this.key(event) });
    show(place, this.head, kind === "workflow" && this.tabs, el("div.split", {}, kind === "workflow" && this.stage, this.panel.element));
    this.clock = setInterval(() => this.isOpen() && this.draw(), 1000);
  }

  async load() {
    this.record = await get(this.path);
    const { tasks = [this.record], edges = {} } = this.record;
    this.tasks = new Map(tasks.map((task) => [task.id, { ...task, needs: needsOf(task, edges) }]));
    document.title = `${this.record.name} – pyagent_orch`;
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

  close() {
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
    const state = STATES[type];
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
    const done = tasks.filter((task) => isFinal(task.status)).length;
    const failed = tasks.filter((task) => task.status === "failed").length;
    const bar = el("progress", { max: tasks.length, value: done, "aria-label": "Progress" });
    const facts = [
      this.kind === "workflow" && `${done} of ${tasks.length} tasks${failed ? `, ${failed} failed` : ""}`,
      duration(took(record)),
      cost(record.usage),
      record.created_at && `submitted ${ago(record.created_at)}`,
    ].filter(Boolean);
    const focused = this.head.contains(document.activeElement) ? document.activeElement.textContent : null;
    show(this.head,
      el("h1", {}, record.name),
      el("p", {}, el("span.status", { "data-status": record.status }, `${MARKS[record.status]} ${record.status}`), ` ${facts.join(" · ")}`),
      this.kind === "workflow" && bar,
      typeof record.error === "string" && record.error && el("p.failure", {}, record.error),
      this.actions(),
      this.kind === "workflow" && record.status === "completed" && this.output);
    if (focused) [...this.head.querySelectorAll("button, summary")].find((one) => one.textContent === focused)?.focus();
    this.view?.update(tasks);
  }

  actions() {
    if (this.readOnly || this.kind === "task") return null;
    const run = (what, said, again) => async () => {
      if (!(await act(`${this.path}/${what}`, said))) return;
      await this.load();
      if (again) {
        this.end();
        this.follow();
      }
    };
    return el("p.actions", {},
      this.isOpen() && el("button.danger", { onclick: run("cancel", "Cancelled.") }, "Cancel the run"),
      ["failed", "cancelled"].includes(this.record.status) &&
        el("button", { onclick: run("retry-failed", "What had failed is tried again.", true) }, "Retry what failed"));
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
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...this.tabs.children];
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].click();
  }
}

class TaskList {
  constructor(choose) {
    this.filter = el("input", { type: "search", placeholder: "Filter by name or state", "aria-label": "Filter the tasks", oninput: () => this.update(this.tasks) });
    this.rows = new Rows(32, (task) => el("div.line", {},
      el("button.plain", { onclick: () => choose([task.id]) }, el("span.mark", { "data-status": task.status }, MARKS[task.status]), ` ${task.name}`),
      el("span", {}, task.status), el("span", {}, duration(took(task))), el("span", {}, cost(task.usage)),
      el("span.quiet", {}, task.error ? preview(task.error.message, 60) : "")));
    this.rows.element.setAttribute("aria-label", "Tasks");
    this.element = el("section.panel", {}, el("div.tools", {}, this.filter), this.rows.element);
  }

  update(tasks) {
    this.tasks = tasks;
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.rows.update(tasks.filter((task) => words.every((word) => `${task.name} ${task.status}`.toLowerCase().includes(word))));
  }
}
