// Dead letters: tasks that failed for good, with their reasons; retried singly or all.

import { act, get } from "./api.js";
import { el, show } from "./dom.js";
import { ago, preview } from "./format.js";

/** Show the dead letters. */
export async function open(place, { query, readOnly }) {
  document.title = "Dead letters – pyagent_orch";
  const cursor = query.get("cursor") ?? "";
  const body = el("tbody");
  const pages = el("p.pages");
  const read = async () => {
    const { items, next } = await get("dead-letters", { cursor, limit: 50 });
    show(body, items.map((task) => row(task, readOnly, read)),
      !items.length && el("tr", {}, el("td.quiet", { colspan: 5 }, "Nothing failed for good.")));
    show(pages, next && el("a", { href: `#/letters?cursor=${encodeURIComponent(next)}` }, "Older"));
  };
  show(place, el("h1", {}, "Dead letters"),
    !readOnly && el("p.actions", {}, el("button", { onclick: async () => {
      if (!confirm("Retry every task that failed for good?")) return;
      const done = await act("dead-letters/retry", "They are tried again.", {});
      if (done) await read();
    } }, "Retry all")),
    el("div.scroll", { tabindex: 0, role: "region", "aria-label": "Dead letters" },
      el("table.list", {}, el("thead", {}, el("tr", {}, ["Task", "Reason", "Attempts", "Failed", ""].map((title) =>
        el("th", { scope: "col" }, title || el("span.unseen", {}, "Actions"))))), body)), pages);
  await read();
  return () => {};
}

function row(task, readOnly, read) {
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { href: `#/task/${encodeURIComponent(task.id)}` }, preview(task.name, 60))),
    el("td", {}, task.error && preview(`${task.error.type}: ${task.error.message}`, 160)),
    el("td.number", {}, task.attempts),
    el("td", { title: task.completed_at }, ago(task.completed_at)),
    el("td.actions", {}, !readOnly && el("button", { "aria-label": `Retry ${task.name}`, onclick: async () => {
      if (await act(`tasks/${encodeURIComponent(task.id)}/retry`, "It is tried again.")) await read();
    } }, "Retry")));
}
