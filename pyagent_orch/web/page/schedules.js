// Scheduled jobs: when they run next, and pause, resume, run now.

import { act, get } from "./api.js";
import { el, show } from "./dom.js";
import { ago, preview } from "./format.js";
import { follow } from "./live.js";

/** Show the jobs; returns what ends it. */
export async function open(place, { readOnly }) {
  document.title = "Schedules – pyagent_orch";
  const body = el("tbody");
  show(place, el("h1", {}, "Schedules"),
    el("div.scroll", { tabindex: 0, role: "region", "aria-label": "Schedules" },
      el("table.list", {}, el("thead", {}, el("tr", {}, ["Job", "When", "Next run", "Last run", "Runs", "State", ""].map((title) =>
        el("th", { scope: "col" }, title || el("span.unseen", {}, "Actions"))))), body)));

  const read = async () => {
    const { items } = await get("schedules");
    show(body, items.map((job) => row(job, readOnly, read)),
      !items.length && el("tr", {}, el("td.quiet", { colspan: 7 }, "Nothing is scheduled.")));
  };
  await read();
  const again = () => read().catch(() => {});
  return follow("events", {}, { event: ({ type }) => type.startsWith("job.") && again(), snapshot: again });
}

function row(job, readOnly, read) {
  const run = (what, said) => async () => {
    await act(`schedules/${encodeURIComponent(job.id)}/${what}`, said);
    await read();
  };
  return el("tr", {},
    el("th", { scope: "row" }, preview(job.name, 60)),
    el("td", {}, job.schedule, job.problem && el("span.error", {}, job.problem)),
    el("td", { title: job.next_run }, job.next_run ? ago(job.next_run) : "none"),
    el("td", { title: job.last_run }, ago(job.last_run) || "none"),
    el("td.number", {}, job.max_runs ? `${job.runs} of ${job.max_runs}` : job.runs),
    el("td", {}, job.ended ? "ended" : job.enabled ? "enabled" : "paused"),
    el("td.actions", {}, !readOnly && [
      !job.ended && (job.enabled
        ? el("button", { onclick: run("pause", `${job.name} is paused.`), "aria-label": `Pause ${job.name}` }, "Pause")
        : el("button", { onclick: run("resume", `${job.name} goes on.`), "aria-label": `Resume ${job.name}` }, "Resume")),
      el("button", { onclick: run("run", `${job.name} runs now.`), "aria-label": `Run ${job.name} now` }, "Run now"),
    ]));
}
