// A run as a graph: a box for each task (or group), an arrow from what a task waits for.
// Boxes are buttons over a drawing of the arrows, so that keyboard and screen readers have them.

import { el, show, svg } from "./dom.js";
import { MARKS } from "./format.js";
import { grouped } from "./grouping.js";

const WIDTH = 176;
const HEIGHT = 44;
const ORDER = ["failed", "running", "retrying", "pending", "cancelled", "skipped", "completed"];

/** Shows the tasks of a run and follows their states. */
export class GraphView {
  /** @param {(ids: string[]) => void} choose called with the tasks of the box that was pressed */
  constructor(choose) {
    this.choose = choose;
    this.scale = 1;
    this.round = 0;
    this.shape = "";
    this.buttons = new Map();
    this.sheet = el("div.sheet");
    this.window = el("div.graph", { role: "group", "aria-label": "Graph of the tasks", tabindex: 0 }, this.sheet);
    const zoom = (label, step) =>
      el("button", { onclick: () => { this.fitted = false; this.zoom(step); }, "aria-label": label, title: label }, step > 1 ? "+" : "−");
    this.element = el(
      "section.panel",
      {},
      el("div.tools", {}, zoom("Zoom out", 1 / 1.25), zoom("Zoom in", 1.25), el("button", { onclick: () => this.fit() }, "Fit")),
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
    this.worker.postMessage({
      round: ++this.round,
      boxes: this.boxes.map(({ id }) => ({ id })),
      edges: this.edges,
      width: WIDTH,
      height: HEIGHT,
      down: this.window.clientWidth > 0 && this.window.clientWidth < 560,
    });
  }

  /** Tidy up; the view is not used after this. */
  close() {
    this.worker.terminate();
  }

  place({ wide, high, places, lines }) {
    [this.wide, this.high] = [wide, high];
    const arrows = svg("svg", { width: wide, height: high, "aria-hidden": "true" },
      svg("defs", {}, svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
        svg("path", { d: "M0 0 8 4 0 8z" }))),
      lines.map((points) => svg("path", { d: `M${points.map((point) => point.join(" ")).join(" L")}`, "marker-end": "url(#tip)" })),
    );
    const at = new Map(places.map(([id, x, y]) => [id, [x, y]]));
    this.buttons = new Map(this.boxes.map((box) => [box.id, this.button(box, at.get(box.id))]));
    show(this.sheet, arrows, [...this.buttons.values()]);
    this.colour();
    this.fit();
    this.element.dispatchEvent(new CustomEvent("placed", { bubbles: true }));
  }

  button(box, [x, y]) {
    const made = el("button.box", { onclick: () => this.choose(box.members) },
      el("span.name", {}, box.label), el("span.state"));
    Object.assign(made.style, { left: `${x}px`, top: `${y}px`, width: `${WIDTH}px`, height: `${HEIGHT}px` });
    return made;
  }

  colour() {
    for (const box of this.boxes) {
      const button = this.buttons.get(box.id);
      if (!button) continue;
      const counts = new Map();
      for (const id of box.members) {
        const { status } = this.tasks.get(id);
        counts.set(status, (counts.get(status) ?? 0) + 1);
      }
      const found = ORDER.filter((status) => counts.has(status));
      const text = box.members.length === 1
        ? `${MARKS[found[0]]} ${found[0]}`
        : found.map((status) => `${counts.get(status)} ${status}`).join(", ");
      if (button.dataset.state === text) continue;
      button.dataset.state = text;
      button.dataset.status = found[0];
      button.title = `${box.label}: ${text}`;
      button.querySelector(".state").textContent = text;
    }
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
