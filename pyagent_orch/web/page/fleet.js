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
    el("h2", {}, "Workers"), table("Workers", ["Worker", "Pool", "Slots", "Queues", "Agents", "Version"], workers),
    el("h2", {}, "Queues"), table("Queues", ["Queue", "Waiting", "Oldest", "Served by"], queues));
  let timer = null;
  let ended = false;
  const read = async () => {
    const [living, waiting] = await Promise.all([get("workers"), get("queues")]);
    show(workers, living.items.map(({ name, info }) => el("tr", {}, el("th", { scope: "row" }, name), cell(info.pool), number(info.concurrency),
      cell((info.queues ?? []).join(", ")), number((info.agents ?? []).length), cell(info.version))),
      !living.items.length && empty(6, "No worker is alive. Start one: pyagent-orch worker"));
    show(queues, waiting.items.map((queue) => el("tr", {}, el("th", { scope: "row" }, queue.name), number(queue.waiting),
      number(duration(queue.oldest_seconds)), number(queue.workers.length))), !waiting.items.length && empty(4, "No queue has been used."));
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
