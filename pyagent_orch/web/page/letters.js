// Dead letters: tasks that failed for good, with their reasons; retried singly, or all that fit.

import { act, get } from "./api.js";
import { el, renew, show } from "./dom.js";
import { ago, cost, preview } from "./format.js";
import { calmly, follow } from "./live.js";

const COLUMNS = ["Task", "Reason", "Attempts", "Cost", "Failed", ""];
const NUMBERS = new Set(["Attempts", "Cost"]);
const AT_ONCE = 1000; // how many are retried by one press
const CALM = 1000; // milliseconds between two readings of the list

/** Show the dead letters. */
export async function open(place, { query, readOnly }) {
  document.title = "Dead letters – pyagent_orch";
  const asked = Object.fromEntries(["name", "error", "q", "cursor"].map((key) => [key, query.get(key) ?? ""]));
  const to = (change) => {
    const next = new URLSearchParams(Object.entries({ ...asked, cursor: "", ...change }).filter(([, value]) => value));
    location.hash = `#/letters?${next}`;
  };
  const body = el("tbody");
  const pages = el("p.pages");
  const reasons = el("div.kinds", { role: "group", "aria-label": "Reason" });
  const filtered = asked.name || asked.error || asked.q;
  const read = async () => {
    const { items, next } = await get("dead-letters", { ...asked, limit: 50 });
    renew(body, items.map((task) => row(task, readOnly, read)),
      !items.length && el("tr", {}, el("td.quiet.empty", { colspan: COLUMNS.length }, !filtered ? "Nothing failed for good." : next ? "Nothing fits so far; older ones have not been looked at." : "Nothing fits the filters.")));
    const kinds = [...new Set([asked.error, ...items.map((task) => task.error?.type ?? "")])].filter(Boolean);
    renew(reasons, kinds.map((kind) => el("button.chip", { "aria-pressed": String(kind === asked.error), onclick: () => to({ error: kind === asked.error ? "" : kind }) }, kind)));
    renew(pages, asked.cursor && el("button", { onclick: () => to({}) }, "Newest"),
      next && el("button", { onclick: () => to({ cursor: next }) }, items.length ? "Older" : "Look further"));
  };
  const retryAll = async () => {
    const which = asked.error || asked.name ? "every task that failed for good and fits the filters" : "every task that failed for good";
    if (!confirm(`Retry ${which}, ${AT_ONCE.toLocaleString()} at the most?`)) return;
    const done = await act("dead-letters/retry", ({ ids }) => (ids.length === 1 ? "1 task is tried again." : `${ids.length} tasks are tried again.`),
      { name: asked.name || null, error: asked.error || null, limit: AT_ONCE });
    if (done) await read();
  };
  show(place, el("h1", {}, "Dead letters"),
    el("form.filters", { role: "search", onsubmit: (event) => { event.preventDefault(); to({ q: event.target.elements.q.value.trim() }); } },
      el("label", {}, "Name or id ", el("input", { name: "q", type: "search", value: asked.q, maxlength: 200, title: "/ comes here" })),
      el("button", {}, "Search"), filtered && el("button", { type: "button", onclick: () => to({ name: "", error: "", q: "" }) }, "Clear"),
      // A search by part of a name is none that the retry of many knows.
      !readOnly && !asked.q && el("button", { type: "button", onclick: retryAll }, asked.error || asked.name ? "Retry all of these" : "Retry all")),
    reasons,
    el("div.scroll.card", { tabindex: 0, role: "region", "aria-label": "Dead letters" },
      el("table.list", {}, el("thead", {}, el("tr", {}, COLUMNS.map((title) =>
        el("th", { scope: "col", class: NUMBERS.has(title) && "number" }, title || el("span.unseen", {}, "Actions"))))), body)), pages);
  await read();
  const { later, stop } = calmly(CALM, () => read().catch(() => {}));
  const told = ({ type }) => ["task.failed", "task.requeued"].includes(type) && later();
  const end = asked.cursor ? () => {} : follow("events", {}, { event: told, snapshot: later });
  return () => {
    stop();
    end();
  };
}

function row(task, readOnly, read) {
  const id = encodeURIComponent(task.id);
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { href: task.workflow ? `#/workflow/${encodeURIComponent(task.workflow)}?task=${id}` : `#/task/${id}` }, preview(task.name, 60)),
      task.workflow && el("span.quiet.below", {}, "in a workflow")),
    el("td", {}, task.error && [el("strong", {}, task.error.type), ` ${preview(task.error.message, 160)}`]),
    el("td.number", {}, task.attempts),
    el("td.number", {}, cost(task.usage)),
    el("td", { title: task.completed_at }, el("span.nowrap", {}, ago(task.completed_at))),
    el("td.actions", {}, !readOnly && el("button.small", { "aria-label": `Retry ${task.name}`, onclick: async () => {
      if (await act(`tasks/${id}/retry`, "It is tried again.")) await read();
    } }, "Retry")));
}
