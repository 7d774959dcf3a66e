// The list of runs: workflows and single tasks, newest first, with filters, a page at a time.

import { get } from "./api.js";
import { el, show } from "./dom.js";
import { ago, cost, duration, MARKS, preview, took } from "./format.js";
import { follow } from "./live.js";

const KINDS = { workflows: "Workflows", tasks: "Single tasks" };
const STATES = ["pending", "running", "retrying", "completed", "failed", "cancelled", "skipped"];
const CALM = 1000; // milliseconds between two readings of the list

/** Show the list; returns what ends it. */
export async function open(place, { query }) {
  const kind = query.get("kind") in KINDS ? query.get("kind") : "workflows";
  const asked = { status: query.get("status") ?? "", q: query.get("q") ?? "", cursor: query.get("cursor") ?? "" };
  document.title = `${KINDS[kind]} – pyagent_orch`;
  const body = el("tbody");
  const pages = el("p.pages");
  const to = (change) => {
    const next = new URLSearchParams(Object.entries({ kind, ...asked, cursor: "", ...change }).filter(([, value]) => value));
    location.hash = `#/runs?${next}`;
  };
  const states = STATES.filter((state) => kind === "tasks" || !["retrying", "skipped"].includes(state));
  show(place,
    el("h1", {}, "Runs"),
    el("form.filters", { role: "search", onsubmit: (event) => { event.preventDefault(); to({ q: event.target.elements.q.value.trim() }); } },
      el("div.kinds", { role: "group", "aria-label": "Kind" }, Object.entries(KINDS).map(([key, label]) =>
        el("button", { type: "button", "aria-pressed": String(key === kind), onclick: () => to({ kind: key, status: "" }) }, label))),
      el("label", {}, "State ", el("select", { onchange: (event) => to({ status: event.target.value }) },
        el("option", { value: "" }, "any"), states.map((state) => el("option", { value: state, selected: state === asked.status }, state)))),
      el("label", {}, "Name or id ", el("input", { name: "q", type: "search", value: asked.q, maxlength: 200 })),
      el("button", {}, "Search")),
    el("div.scroll", { tabindex: 0, role: "region", "aria-label": "Runs" },
      el("table.list", {}, el("thead", {}, el("tr", {}, ["Name", "State", ...(kind === "workflows" ? ["Tasks"] : ["Attempts", "Cost"]), "Took", "Submitted"].map((title) =>
        el("th", { scope: "col" }, title)))), body)),
    pages);

  const read = async () => {
    const { items, next } = await get(kind, { ...asked, limit: 50, alone: kind === "tasks" ? true : null });
    show(body, items.map((record) => row(kind, record)),
      !items.length && el("tr", {}, el("td.quiet", { colspan: 6 }, asked.status || asked.q ? "Nothing fits the filters." : "Nothing has been submitted yet.")));
    show(pages,
      asked.cursor && el("button", { onclick: () => to({}) }, "Newest"),
      next && el("button", { onclick: () => to({ cursor: next }) }, "Older"));
  };
  await read();

  let timer = null;
  const later = () => {
    timer ??= setTimeout(() => {
      timer = null;
      read().catch(() => {});
    }, CALM);
  };
  // An older page stands still while it is read.
  const end = asked.cursor ? () => {} : follow("events", {}, { event: later, snapshot: later });
  return () => {
    clearTimeout(timer);
    end();
  };
}

function row(kind, record) {
  const one = kind === "workflows" ? "workflow" : "task";
  const error = typeof record.error === "string" ? record.error : record.error?.message;
  const count = one === "workflow" ? `${record.done} / ${record.size}` : record.attempts;
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { href: `#/${one}/${encodeURIComponent(record.id)}` }, preview(record.name, 80)),
      error && el("span.error", {}, preview(error, 100))),
    el("td", {}, el("span.status", { "data-status": record.status }, `${MARKS[record.status]} ${record.status}`)),
    el("td.number", {}, count),
    one === "task" && el("td.number", {}, cost(record.usage)),
    el("td.number", {}, duration(took(record))),
    el("td", { title: record.created_at }, ago(record.created_at)));
}
