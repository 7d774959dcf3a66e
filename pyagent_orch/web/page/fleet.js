// Workers and queues.

import { get } from "./api.js";
import { el, show } from "./dom.js";
import { duration } from "./format.js";

const PAUSE = 2000; // milliseconds between two readings

/** Show the fleet; returns what ends it. */
export async function open(place) {
  document.title = "Fleet – pyagent_orch";
  const [workers, queues] = [el("tbody"), el("tbody")];
  show(place, el("h1", {}, "Fleet"),
    el("h2", {}, "Workers"), table("Workers", ["Worker", "Pool", "Slots", "Running", "Queues", "Agents", "Version"], workers),
    el("h2", {}, "Queues"), table("Queues", ["Queue", "Waiting", "Oldest", "Served by"], queues));
  let timer = null;
  let ended = false;
  const read = async () => {
    const found = await get("fleet");
    show(workers, found.workers.map((worker) => el("tr", {}, el("th", { scope: "row" }, worker.name), cell(worker.pool), number(worker.concurrency),
      number(worker.running), cell((worker.queues ?? []).join(", ")), cell(`${(worker.agents ?? []).length}`), cell(worker.version))),
      !found.workers.length && empty(7, "No worker is alive. Start one: pyagent-orch worker"));
    show(queues, found.queues.map((queue) => el("tr", {}, el("th", { scope: "row" }, queue.name), number(queue.waiting),
      number(duration(queue.oldest_seconds)), number(queue.workers))), !found.queues.length && empty(4, "No queue has been used."));
  };
  const again = async () => {
    await read().catch(() => {});
    if (!ended) timer = setTimeout(again, PAUSE);
  };
  await read();
  timer = setTimeout(again, PAUSE);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

const cell = (text) => el("td", {}, text);
const number = (text) => el("td.number", {}, text);
const empty = (columns, text) => el("tr", {}, el("td.quiet", { colspan: columns }, text));

function table(label, titles, body) {
  return el("div.scroll", { tabindex: 0, role: "region", "aria-label": label },
    el("table.list", {}, el("thead", {}, el("tr", {}, titles.map((title) => el("th", { scope: "col" }, title)))), body));
}
