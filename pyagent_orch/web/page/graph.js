// A run as a graph: a box for each task (or group), an arrow from what a task waits for.
// Boxes are buttons over a drawing of the arrows, so that keyboard and screen readers have them.

import { el, show, svg } from "./dom.js";
import { cost, duration, MARKS, took } from "./format.js";
import { grouped } from "./grouping.js";

const WIDTH = 196;
const HEIGHT = 58;
const ORDER = ["failed", "running", "retrying", "pending", "cancelled", "skipped", "completed"];
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ASIDE = 3; // what lies aside of the way that an arrow key points to counts as so much farther

/** Shows the tasks of a run and follows their states. */
export class GraphView {
  /** @param {(ids: string[]) => void} choose called with the tasks of the box that was pressed */
  constructor(choose) {
    this.choose = choose;
    this.scale = 1;
    this.round = 0;
    this.shape = "";
    this.chosen = null;
    this.buttons = new Map();
    this.lines = [];
    this.sheet = el("div.sheet");
    this.window = el("div.graph", { role: "group", "aria-label": "Graph of the tasks", tabindex: 0, onkeydown: (event) => this.key(event) }, this.sheet);
    const zoom = (label, step) =>
      el("button.small", { onclick: () => { this.fitted = false; this.zoom(step); }, "aria-label": label, title: label }, step > 1 ? "+" : "−");
    this.element = el(
      "section.panel",
      {},
      el("div.tools", {}, zoom("Zoom out", 1 / 1.25), zoom("Zoom in", 1.25), el("button.small", { onclick: () => this.fit() }, "Fit")),
      this.window,
    );
    this.fitted = true;
    // The panel beside it comes and goes; who has zoomed keeps the size.
    new ResizeObserver(() => this.fitted && this.window.clientWidth !== this.room && this.fit()).observe(this.window);
    this.worker = new Worker(new URL("layout-worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => data.round === this.round && this.place(data);
  }

  /** Show the tasks as they are now. */
  update(tasks) {
    this.tasks = new Map(tasks.map((task) => [task.id, task]));
    const shape = tasks.map((task) => `${task.id}<${task.needs.join(",")}`).join(";");
    if (shape === this.shape) {
      this.colour();
      return;
    }
    this.shape = shape;
    Object.assign(this, grouped(tasks));
    this.boxOf = new Map(this.boxes.flatMap((box) => box.members.map((id) => [id, box.id])));
    this.worker.postMessage({
      round: ++this.round,
      boxes: this.boxes.map(({ id }) => ({ id })),
      edges: this.edges,
      width: WIDTH,
      height: HEIGHT,
      down: this.window.clientWidth > 0 && this.window.clientWidth < 560,
    });
  }

  /** Mark the box of a task; null for none. */
  choosing(id) {
    this.chosen = id;
    const chosen = this.boxOf?.get(id);
    for (const [key, button] of this.buttons) {
      key === chosen ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
    }
    for (const [from, to, line] of this.lines) line.classList.toggle("near", chosen !== undefined && (from === chosen || to === chosen));
  }

  /** Focus the box of a task. */
  focus(id) {
    this.buttons.get(this.boxOf?.get(id))?.focus();
  }

  /** Tidy up; the view is not used after this. */
  close() {
    this.worker.terminate();
  }

  place({ wide, high, places, lines }) {
    [this.wide, this.high] = [wide, high];
    const focused = [...this.buttons].find(([, button]) => button === document.activeElement)?.[0];
    this.lines = lines.map((points, number) => [
      ...this.edges[number],
      svg("path", { d: curve(points), "marker-end": "url(#tip)" }),
    ]);
    const arrows = svg("svg", { width: wide, height: high, "aria-hidden": "true" },
      svg("defs", {}, svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
        svg("path", { d: "M0 0 8 4 0 8z" }))),
      this.lines.map(([, , line]) => line),
    );
    this.at = new Map(places.map(([id, x, y]) => [id, [x, y]]));
    this.buttons = new Map(this.boxes.map((box) => [box.id, this.button(box, this.at.get(box.id))]));
    show(this.sheet, arrows, [...this.buttons.values()]);
    this.colour();
    this.choosing(this.chosen);
    if (this.fitted) this.fit();
    else this.zoom(1);
    this.buttons.get(focused)?.focus({ preventScroll: true });
  }

  button(box, [x, y]) {
    const made = el("button.box", { onclick: () => this.choose(box.members) },
      el("span.name", {}, box.label), el("span.state"), el("span.cost"));
    Object.assign(made.style, { left: `${x}px`, top: `${y}px`, width: `${WIDTH}px`, height: `${HEIGHT}px` });
    return made;
  }

  colour() {
    for (const box of this.boxes) {
      const button = this.buttons.get(box.id);
      if (!button) continue;
      const members = box.members.map((id) => this.tasks.get(id));
      const [state, below, status] = members.length === 1 ? one(members[0]) : many(members);
      const text = `${state} ${below}`;
      if (button.dataset.state === text) continue;
      button.dataset.state = text;
      button.dataset.status = status;
      button.title = [box.label, state, below].filter(Boolean).join("\n");
      button.querySelector(".state").textContent = state;
      button.querySelector(".cost").textContent = below;
    }
  }

  // To the nearest box in the direction of the arrow.
  key(event) {
    const step = STEPS[event.key];
    const here = [...this.buttons].find(([, button]) => button === event.target)?.[0];
    if (!step || here === undefined) return;
    event.preventDefault();
    const [x, y] = this.at.get(here);
    let best = null;
    for (const [id, [left, top]] of this.at) {
      const along = (left - x) * step[0] + (top - y) * step[1];
      const aside = Math.abs((left - x) * step[1]) + Math.abs((top - y) * step[0]);
      if (along > 1 && (!best || along + ASIDE * aside < best.far)) best = { id, far: along + ASIDE * aside };
    }
    if (best) this.buttons.get(best.id).focus();
  }

  zoom(step) {
    this.scale = Math.min(2, Math.max(0.1, this.scale * step));
    this.sheet.style.transform = `scale(${this.scale})`;
    this.sheet.style.width = `${this.wide * this.scale}px`;
    this.sheet.style.height = `${this.high * this.scale}px`;
  }

  fit() {
    if (!this.wide) return;
    this.fitted = true;
    this.room = this.window.clientWidth;
    this.scale = Math.max(0.35, Math.min(this.room / this.wide, 1) || 1);
    this.zoom(1);
  }
}

// What the second and the third line of a box say, and its colour.
function one(task) {
  const { status, attempts } = task;
  const time = duration(took(task));
  return [`${MARKS[status]} ${status}`, [time, attempts > 1 && `attempt ${attempts}`, cost(task.usage)].filter(Boolean).join(" · "), status];
}

function many(tasks) {
  const counts = new Map();
  for (const { status } of tasks) counts.set(status, (counts.get(status) ?? 0) + 1);
  const found = ORDER.filter((status) => counts.has(status));
  return [found.map((status) => `${counts.get(status)} ${status}`).join(", "), "", found[0]];
}

// The points of a line, joined smoothly.
function curve(points) {
  const [[x, y], ...rest] = points;
  let path = `M${x} ${y}`;
  for (let number = 0; number < rest.length - 1; number++) {
    const [[cx, cy], [nx, ny]] = [rest[number], rest[number + 1]];
    const end = number === rest.length - 2 ? [nx, ny] : [(cx + nx) / 2, (cy + ny) / 2];
    path += ` Q${cx} ${cy} ${end[0]} ${end[1]}`;
  }
  return rest.length === 1 ? `${path} L${rest[0].join(" ")}` : path;
}
