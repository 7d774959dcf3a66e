// A long list of which only the rows in sight are in the page.

import { el } from "./dom.js";

/** Draws rows of one height while they are scrolled through. */
export class Rows {
  /**
   * @param {number} height of a row, in pixels
   * @param {(item: object) => HTMLElement} draw makes a row
   */
  constructor(height, draw) {
    [this.height, this.draw, this.items] = [height, draw, []];
    this.sheet = el("div.sheet", { role: "presentation" });
    this.element = el("div.rows", { tabindex: 0, role: "list" }, this.sheet);
    this.element.addEventListener("scroll", () => this.refresh(), { passive: true });
    new ResizeObserver(() => this.refresh()).observe(this.element);
  }

  /** Show these items. */
  update(items) {
    this.items = items;
    this.sheet.style.height = `${items.length * this.height}px`;
    this.element.style.height = `${items.length * this.height + 2}px`;
    this.refresh();
  }

  /** Focus the row of an item, once it is in sight. */
  focus(id) {
    const place = this.items.findIndex((item) => item.id === id);
    if (place < 0) return;
    const top = place * this.height;
    if (top < this.element.scrollTop || top + this.height > this.element.scrollTop + this.element.clientHeight) {
      this.element.scrollTop = top - this.height;
    }
    this.refresh();
    this.sheet.querySelector(`[data-row="${CSS.escape(id)}"] button`)?.focus({ preventScroll: true });
  }

  refresh() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - 4);
    const count = Math.ceil((this.element.clientHeight || 400) / this.height) + 8;
    const focused = document.activeElement?.closest?.("[data-row]")?.dataset.row;
    const made = this.items.slice(first, first + count).map((item, place) => {
      const row = this.draw(item);
      row.dataset.row = item.id;
      row.setAttribute("role", "listitem");
      row.setAttribute("aria-posinset", first + place + 1);
      row.setAttribute("aria-setsize", this.items.length);
      Object.assign(row.style, { top: `${(first + place) * this.height}px`, height: `${this.height}px` });
      return row;
    });
    this.sheet.replaceChildren(...made);
    if (focused) made.find((row) => row.dataset.row === focused)?.querySelector("button")?.focus({ preventScroll: true });
  }
}
