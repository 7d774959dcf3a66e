// Scheduled jobs: when they run next, and pause, resume, run now.

import { act, get } from "./api.js";
import { el, renew, show } from "./dom.js";
import { ago, moment, preview } from "./format.js";
import { calmly, follow } from "./live.js";

const CALM = 300; // milliseconds from an event to the reading
const TICK = 10000; // milliseconds between two readings when nothing is told

/** Show the jobs; returns what ends it. */
export async function open(place, { readOnly }) {
  document.title = "Schedules – pyagent_orch";
  const body = el("tbody");
  show(place, el("h1", {}, "Schedules"),
    el("div.scroll.card", { tabindex: 0, role: "region", "aria-label": "Schedules" },
      el("table.list", {}, el("thead", {}, el("tr", {}, ["Job", "When", "Next run", "Last run", "Runs", "State", ""].map((title) =>
        el("th", { scope: "col", class: title === "Runs" && "number" }, title || el("span.unseen", {}, "Actions"))))), body)));

  const read = async () => {
    const { items } = await get("schedules");
    renew(body, items.map((job) => row(job, readOnly, read)),
      !items.length && el("tr", {}, el("td.quiet.empty", { colspan: 7 }, "Nothing is scheduled.")));
  };
  await read();
  const { later, stop } = calmly(CALM, () => read().catch(() => {}));
  // What is due, and how long ago, changes without an event, too.
  const clock = setInterval(later, TICK);
  const end = follow("events", {}, { event: ({ type }) => type.startsWith("job.") && later(), snapshot: later });
  return () => {
    clearInterval(clock);
    stop();
    end();
  };
}

function row(job, readOnly, read) {
  const run = (what, said) => async () => {
    await act(`schedules/${encodeURIComponent(job.id)}/${what}`, said);
    await read();
  };
  const state = job.ended ? "ended" : job.enabled ? "enabled" : "paused";
  const last = ago(job.last_run);
  return el("tr", {},
    el("th", { scope: "row" }, preview(job.name, 60)),
    el("td", {}, job.schedule, job.problem && el("span.error", {}, job.problem)),
    el("td", { title: moment(job.next_run) }, job.next_run ? ago(job.next_run) : "none"),
    el("td", { title: moment(job.last_run) }, last && job.last_run_id ? el("a", { href: `#/${job.run_kind}/${encodeURIComponent(job.last_run_id)}`, "data-key": `last ${job.id}` }, last) : last || "none"),
    el("td.number", {}, job.max_runs ? `${job.runs} of ${job.max_runs}` : job.runs),
    el("td", {}, el("span.status.pill", { "data-status": { ended: "skipped", enabled: "completed", paused: "pending" }[state] }, state)),
    el("td.actions", {}, !readOnly && [
      !job.ended && (job.enabled
        ? el("button.small", { onclick: run("pause", `${job.name} is paused.`), "aria-label": `Pause ${job.name}`, "data-key": `turn ${job.id}` }, "Pause")
        : el("button.small", { onclick: run("resume", `${job.name} goes on.`), "aria-label": `Resume ${job.name}`, "data-key": `turn ${job.id}` }, "Resume")),
      el("button.small", { onclick: run("run", `${job.name} runs now.`), "aria-label": `Run ${job.name} now` }, "Run now"),
    ]));
}
