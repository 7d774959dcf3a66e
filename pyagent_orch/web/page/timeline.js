// When each task of a run waited and ran (a Gantt chart).

import { el } from "./dom.js";
import { duration, MARKS, took } from "./format.js";
import { Rows } from "./rows.js";

const ROW = 26;

/** Shows the tasks of a run along the time. */
export class Timeline {
  /** @param {(ids: string[]) => void} choose called with the task that was pressed */
  constructor(choose) {
    this.choose = choose;
    this.rows = new Rows(ROW, (task) => this.row(task));
    this.rows.element.setAttribute("aria-label", "Timeline of the tasks");
    this.scale = el("div.scale", { "aria-hidden": "true" });
    this.element = el("section.panel.timeline", {}, this.scale, this.rows.element);
  }

  /** Show the tasks as they are now. */
  update(tasks) {
    const begun = tasks.filter((task) => task.started_at);
    const starts = tasks.map((task) => Date.parse(task.created_at ?? task.started_at)).filter(Number.isFinite);
    this.from = Math.min(...starts, Date.now());
    const ends = begun.map((task) => (task.completed_at ? Date.parse(task.completed_at) : Date.now()));
    this.to = Math.max(this.from + 100, ...ends);
    const marks = [0, 0.25, 0.5, 0.75, 1];
    this.scale.replaceChildren(
      ...marks.map((mark) => {
        const made = el("span", {}, duration(((this.to - this.from) * mark) / 1000));
        made.style.left = `${mark * 100}%`;
        return made;
      }),
    );
    const key = (task) => (task.started_at ? Date.parse(task.started_at) : Infinity);
    this.rows.update([...tasks].sort((a, b) => key(a) - key(b) || 0));
  }

  close() {}

  row(task) {
    const share = (iso) => ((Date.parse(iso) - this.from) / (this.to - this.from)) * 100;
    const bar = el("span.bar", { "data-status": task.status });
    if (task.started_at) {
      const left = share(task.started_at);
      const right = task.completed_at ? share(task.completed_at) : 100;
      Object.assign(bar.style, { left: `${left}%`, width: `max(2px, ${right - left}%)` });
    } else bar.hidden = true;
    const text = `${task.name}: ${task.status}${task.started_at ? `, ${duration(took(task))}` : ""}`;
    return el("div.span", {},
      el("button.plain", { onclick: () => this.choose([task.id]), title: text, "aria-label": text },
        el("span.mark", { "data-status": task.status }, MARKS[task.status]), ` ${task.name}`),
      el("span.track", {}, bar));
  }
}
