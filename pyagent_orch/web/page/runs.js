// The list of runs: workflows and tasks, those that moved last first, with filters, a page at a time.

import { get } from "./api.js";
import { el, renew, show } from "./dom.js";
import { ago, cost, duration, isFinal, MARKS, preview, STATES, took } from "./format.js";
import { calmly, follow } from "./live.js";

const KINDS = { workflows: "Workflows", tasks: "Single tasks", all: "All tasks" };
const COLUMNS = {
  workflows: ["Name", "State", "Tasks", "Cost", "Took", "Submitted"],
  tasks: ["Name", "State", "Agent", "Attempts", "Cost", "Took", "Submitted"],
};
const CALM = 1000; // milliseconds between two readings of the list
const TICK = 5000; // milliseconds between two looks at the clock
const METADATA = /^([^=\s]+)=(.+)$/;

/** Show the list; returns what ends it. */
export async function open(place, { query }) {
  const kind = query.get("kind") in KINDS ? query.get("kind") : "workflows";
  const list = new List(place, kind, {
    status: query.get("status") ?? "", q: query.get("q") ?? "", metadata: query.get("metadata") ?? "", cursor: query.get("cursor") ?? "",
  });
  await list.read();
  list.follow();
  return () => list.close();
}

class List {
  constructor(place, kind, asked) {
    Object.assign(this, { kind, asked, items: [] });
    this.noun = kind === "workflows" ? "workflows" : "tasks";
    document.title = `${KINDS[kind]} – pyagent_orch`;
    this.body = el("tbody");
    this.pages = el("p.pages");
    this.states = el("div.kinds", { role: "group", "aria-label": "State" });
    const titles = COLUMNS[this.noun];
    show(place, el("h1", {}, "Runs"), this.filters(), this.states,
      el("div.scroll.card", { tabindex: 0, role: "region", "aria-label": "Runs" },
        el("table.list", {}, el("thead", {}, el("tr", {}, titles.map((title) => el("th", { scope: "col", class: NUMBERS.has(title) && "number" }, title)))), this.body)),
      this.pages);
  }

  to(change) {
    const next = new URLSearchParams(Object.entries({ kind: this.kind, ...this.asked, cursor: "", ...change }).filter(([, value]) => value));
    location.hash = `#/runs?${next}`;
  }

  filters() {
    const search = (event) => {
      event.preventDefault();
      const { q, metadata } = event.target.elements;
      this.to({ q: q.value.trim(), metadata: metadata.value.trim() });
    };
    const metadata = el("input", { name: "metadata", type: "search", value: this.asked.metadata, maxlength: 200, placeholder: "customer=acme", size: 16 });
    metadata.addEventListener("input", () => metadata.setCustomValidity(!metadata.value || METADATA.test(metadata.value) ? "" : "Write it as key=value"));
    return el("form.filters", { role: "search", onsubmit: search },
      el("div.kinds.joined", { role: "group", "aria-label": "Kind" }, Object.entries(KINDS).map(([key, label]) =>
        el("button", { type: "button", "aria-pressed": String(key === this.kind), onclick: () => this.to({ kind: key, status: "" }) }, label))),
      el("label", {}, "Name or id ", el("input", { name: "q", type: "search", value: this.asked.q, maxlength: 200, title: "/ comes here" })),
      el("label", {}, "Metadata ", metadata),
      el("button", {}, "Search"),
      (this.asked.q || this.asked.metadata || this.asked.status) && el("button", { type: "button", onclick: () => this.to({ q: "", metadata: "", status: "" }) }, "Clear"));
  }

  async read() {
    const { cursor, status, q, metadata } = this.asked;
    const [{ items, next }, overview] = await Promise.all([
      get(this.noun, { cursor, status, q, metadata, limit: 50, alone: this.kind === "tasks" ? true : null }),
      get("overview"),
    ]);
    Object.assign(this, { items, next });
    // How many there are is counted for all tasks, not for those that are in no workflow.
    this.counts = { workflows: overview.workflows, all: overview.tasks }[this.kind] ?? {};
    this.draw();
  }

  draw() {
    const { status, q, metadata, cursor } = this.asked;
    const states = STATES.filter((state) => this.noun === "tasks" || !["retrying", "skipped"].includes(state));
    const all = Object.values(this.counts).reduce((one, other) => one + other, 0);
    const chip = (state, label, count) => el("button.chip", { "aria-pressed": String(status === state), "data-status": state || null, "data-key": `state ${state}`, onclick: () => this.to({ status: state }) },
      label, count !== undefined && el("span.count", {}, count.toLocaleString()));
    renew(this.states, chip("", "any state", all || undefined), states.map((state) => chip(state, `${MARKS[state]} ${state}`, this.counts[state])));
    const filtered = status || q || metadata;
    renew(this.body, this.items.map((record) => row(this.noun, record)),
      !this.items.length && el("tr", {}, el("td.quiet.empty", { colspan: COLUMNS[this.noun].length }, !filtered ? NOTHING : this.next ? "Nothing fits the filters so far; older ones have not been looked at." : "Nothing fits the filters.")));
    renew(this.pages,
      cursor && el("button", { onclick: () => this.to({}) }, "Newest"),
      this.next && el("button", { onclick: () => this.to({ cursor: this.next }) }, this.items.length ? "Older" : "Look further"));
  }

  follow() {
    const { later, stop } = calmly(CALM, () => this.read().catch(() => {}));
    // "5 s ago" grows old, too.
    const clock = setInterval(() => this.draw(), TICK);
    // An older page stands still while it is read.
    const end = this.asked.cursor ? () => {} : follow("events", {}, { event: later, snapshot: later });
    this.close = () => {
      stop();
      clearInterval(clock);
      end();
    };
  }
}

const NOTHING = "Nothing has been submitted yet.";
const NUMBERS = new Set(["Tasks", "Took", "Attempts", "Cost"]);

function row(noun, record) {
  const one = noun === "workflows" ? "workflow" : "task";
  const error = typeof record.error === "string" ? record.error : record.error?.message;
  const within = one === "task" && record.workflow;
  const address = within ? `#/workflow/${encodeURIComponent(record.workflow)}?task=${encodeURIComponent(record.id)}` : `#/${one}/${encodeURIComponent(record.id)}`;
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { href: address }, preview(record.name, 80)),
      error && el("span.error", {}, preview(error, 100))),
    el("td", {}, el("span.status.pill", { "data-status": record.status }, `${MARKS[record.status]} ${record.status}`)),
    one === "workflow" ? el("td.number", {}, `${record.done} / ${record.size}`, share(record)) : [
      el("td", {}, preview(record.agent?.name ?? "", 40)), el("td.number", {}, record.attempts || "")],
    el("td.number", {}, cost(record.usage)),
    el("td.number", {}, duration(took(record))),
    el("td", { title: record.created_at }, el("span.nowrap", {}, ago(record.created_at))));
}

// How far a run that moves has come.
function share({ status, done, size }) {
  if (isFinal(status) || !size) return null;
  const part = el("span", { "data-status": "completed" });
  part.style.width = `${(100 * done) / size}%`;
  return el("span.bars.thin", { "aria-hidden": "true" }, part);
}
