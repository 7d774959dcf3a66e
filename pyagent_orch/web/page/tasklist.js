// The tasks of a run as a list, with a filter.

import { el } from "./dom.js";
import { cost, duration, MARKS, preview, took } from "./format.js";
import { Rows } from "./rows.js";

/** Shows the tasks of a run, those that fit the filter. */
export class TaskList {
  /** @param {(ids: string[]) => void} choose called with the task that was pressed */
  constructor(choose) {
    this.choose = choose;
    this.filter = el("input", { type: "search", placeholder: "Filter by name, agent or state", "aria-label": "Filter the tasks", oninput: () => this.update(this.tasks) });
    this.count = el("span.quiet", { role: "status" });
    this.rows = new Rows(34, (task) => this.row(task));
    this.rows.element.setAttribute("aria-label", "Tasks");
    this.element = el("section.panel.listing", {}, el("div.tools", {}, this.filter, this.count), this.rows.element);
  }

  row(task) {
    const attempts = task.attempts > 1 ? `${task.attempts} attempts` : "";
    return el("div.line", {},
      el("button.plain", { onclick: () => this.choose([task.id]), "aria-current": task.id === this.chosen && "true" },
        el("span.mark", { "data-status": task.status }, MARKS[task.status]), ` ${task.name}`),
      el("span.quiet.who", {}, task.agent?.name ?? ""), el("span.status", { "data-status": task.status }, task.status), el("span.number", {}, duration(took(task))),
      el("span.number", {}, cost(task.usage)), el("span.quiet.note", {}, [attempts, task.error && preview(task.error.message, 60)].filter(Boolean).join(": ")));
  }

  /** Show the tasks as they are now. */
  update(tasks) {
    this.tasks = tasks;
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (task) => `${task.name} ${task.status} ${task.agent?.name ?? ""}`.toLowerCase();
    const found = words.length ? tasks.filter((task) => words.every((word) => text(task).includes(word))) : tasks;
    this.count.textContent = words.length ? `${found.length} of ${tasks.length}` : "";
    this.rows.update(found);
  }

  /** Mark the row of a task; null for none. */
  choosing(id) {
    this.chosen = id;
    this.rows.refresh();
  }

  /** Focus the row of a task. */
  focus(id) {
    this.rows.focus(id);
  }

  close() {}
}
