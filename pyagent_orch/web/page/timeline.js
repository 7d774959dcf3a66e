// When each task of a run waited and ran (a Gantt chart).

import { el } from "./dom.js";
import { duration, MARKS, took } from "./format.js";
import { Rows } from "./rows.js";

const ROW = 28;
const MARKS_AT = [0, 0.25, 0.5, 0.75, 1];

/** Shows the tasks of a run along the time. */
export class Timeline {
  /** @param {(ids: string[]) => void} choose called with the task that was pressed */
  constructor(choose) {
    this.choose = choose;
    this.rows = new Rows(ROW, (task) => this.row(task));
    this.rows.element.setAttribute("aria-label", "Timeline of the tasks");
    this.scale = el("div.scale", { "aria-hidden": "true" });
    this.element = el("section.panel.timeline", {}, this.scale, this.rows.element,
      el("p.quiet.legend", {}, el("span.swatch.wait"), " ready, waits for a worker ", el("span.swatch.run"), " runs, waits between attempts included"));
  }

  /** Show the tasks as they are now. */
  update(tasks) {
    this.tasks = new Map(tasks.map((task) => [task.id, task]));
    const begun = tasks.filter((task) => task.started_at);
    const starts = tasks.map((task) => Date.parse(task.created_at ?? task.started_at)).filter(Number.isFinite);
    this.from = starts.reduce((one, other) => Math.min(one, other), Date.now());
    const ends = begun.map((task) => (task.completed_at ? Date.parse(task.completed_at) : Date.now()));
    this.to = ends.reduce((one, other) => Math.max(one, other), this.from + 100);
    this.scale.replaceChildren(
      ...MARKS_AT.map((mark) => {
        const made = el("span", {}, duration(((this.to - this.from) * mark) / 1000));
        made.style.left = `${mark * 100}%`;
        return made;
      }),
    );
    const key = (task) => (task.started_at ? Date.parse(task.started_at) : Infinity);
    this.rows.update([...tasks].sort((a, b) => key(a) - key(b) || 0));
  }

  /** Mark the row of a task; null for none. */
  choosing(id) {
    this.chosen = id;
    if (this.tasks) this.rows.refresh();
  }

  /** Focus the row of a task. */
  focus(id) {
    this.rows.focus(id);
  }

  close() {}

  // Since when a task could have run: what it waits for was there.
  ready(task) {
    const times = task.needs.map((id) => Date.parse(this.tasks.get(id)?.completed_at ?? "")).filter(Number.isFinite);
    return Math.max(Date.parse(task.created_at ?? task.started_at), ...times);
  }

  row(task) {
    const share = (time) => ((time - this.from) / (this.to - this.from)) * 100;
    const bars = [];
    if (task.started_at) {
      const [ready, left] = [this.ready(task), Date.parse(task.started_at)];
      const right = task.completed_at ? Date.parse(task.completed_at) : this.to;
      if (left > ready) bars.push(bar("wait", share(ready), share(left)));
      bars.push(bar("run", share(left), share(right)));
      const label = el("span.length", {}, duration(took(task)));
      // Beside the bar, on the side on which there is room.
      if (share(right) < 80) label.style.left = `calc(${share(right)}% + .3rem)`;
      else label.style.right = `calc(${100 - share(left)}% + .3rem)`;
      if (share(right) < 80 || share(left) > 12) bars.push(label);
    }
    const text = `${task.name}: ${task.status}${task.started_at ? `, ${duration(took(task))}` : ""}${task.attempts > 1 ? `, attempt ${task.attempts}` : ""}`;
    return el("div.span", { "data-status": task.status },
      el("button.plain", { onclick: () => this.choose([task.id]), title: text, "aria-label": text, "aria-current": task.id === this.chosen && "true" },
        el("span.mark", { "data-status": task.status }, MARKS[task.status]), ` ${task.name}`),
      el("span.track", {}, bars));
  }
}

function bar(kind, left, right) {
  const made = el(`span.bar.${kind}`);
  Object.assign(made.style, { left: `min(${left}%, 100% - 3px)`, width: `max(3px, ${right - left}%)` });
  return made;
}
