// Workers and queues.

import { get } from "./api.js";
import { el, renew, show } from "./dom.js";
import { duration, MARKS, STATES } from "./format.js";

const PAUSE = 2000; // milliseconds between two readings

/** Show the fleet; returns what ends it. */
export async function open(place) {
  document.title = "Fleet – pyagent_orch";
  const [workers, queues] = [el("tbody"), el("tbody")];
  const tiles = el("ul.tiles", { "aria-label": "Tasks by state" });
  show(place, el("h1", {}, "Fleet"), tiles,
    el("h2", {}, "Workers"), table("Workers", ["Worker", "Pool", "Busy", "Queues", "Agents", "Version"], workers),
    el("h2", {}, "Queues"), table("Queues", ["Queue", "Waiting", "Oldest", "Served by"], queues));
  let timer = null;
  let ended = false;
  const read = async () => {
    const [living, waiting, { tasks }] = await Promise.all([get("workers"), get("queues"), get("overview")]);
    renew(tiles, tasks && STATES.map((state) => el("li", { "data-status": state },
      el("a", { href: `#/runs?kind=all&status=${state}` }, el("strong", {}, tasks[state].toLocaleString()), el("span.status", {}, `${MARKS[state]} ${state}`)))));
    renew(workers, living.items.map(({ name, info, busy }) => el("tr", {}, el("th", { scope: "row" }, name), cell(info.pool), slots(busy, info.concurrency),
      cell((info.queues ?? []).join(", ")), agents(info.agents ?? []), cell(info.version))),
      !living.items.length && empty(6, "No worker is alive. Start one: pyagent-orch worker"));
    renew(queues, waiting.items.map((queue) => el("tr", {}, el("th", { scope: "row" }, queue.name), number(queue.waiting.toLocaleString()),
      number(duration(queue.oldest_seconds)), served(queue))), !waiting.items.length && empty(4, "No queue has been used."));
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
const empty = (columns, text) => el("tr", {}, el("td.quiet.empty", { colspan: columns }, text));
const agents = (names) => el("td.number", { title: names.join(", ") }, names.length);
const NUMBERS = new Set(["Busy", "Agents", "Waiting", "Oldest", "Served by"]);

// How many of a worker's slots are taken.
function slots(busy, all) {
  const part = el("span", { "data-status": "running" });
  part.style.width = `${all ? Math.min(100, (100 * busy) / all) : 0}%`;
  return el("td.number", {}, `${busy} of ${all ?? "?"}`, el("span.bars.thin", { "aria-hidden": "true" }, part));
}

function served(queue) {
  const nobody = !queue.workers.length && queue.waiting > 0;
  return el("td.number", { title: queue.workers.join(", ") }, nobody ? el("span.error", {}, "nobody") : queue.workers.length);
}

function table(label, titles, body) {
  return el("div.scroll.card", { tabindex: 0, role: "region", "aria-label": label },
    el("table.list", {}, el("thead", {}, el("tr", {}, titles.map((title) => el("th", { scope: "col", class: NUMBERS.has(title) && "number" }, title)))), body));
}
