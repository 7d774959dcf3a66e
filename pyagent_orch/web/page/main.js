// The page's own addresses, and which view is in sight. A view is made, fills `main`, and is closed.

import { get } from "./api.js";
import { el, show } from "./dom.js";

const VIEWS = {
  runs: () => import("./runs.js"),
  workflow: () => import("./run.js"),
  task: () => import("./run.js"),
  schedules: () => import("./schedules.js"),
  fleet: () => import("./fleet.js"),
  letters: () => import("./letters.js"),
};

const main = document.getElementById("main");
let close = () => {};
let turn = 0;

async function open() {
  const [path, query] = location.hash.slice(2).split("?");
  const [kind, ...rest] = (path || "runs").split("/").map(decodeURIComponent);
  const mine = ++turn;
  close();
  close = () => {};
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === `#/${kind in { workflow: 1, task: 1 } ? "runs" : kind}`;
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  try {
    const view = await (VIEWS[kind] ?? VIEWS.runs)();
    const about = await host();
    if (mine !== turn) return;
    const ended = await view.open(main, { kind, id: rest[0], query: new URLSearchParams(query), ...about });
    if (mine === turn) close = ended ?? close;
    else ended?.();
  } catch (error) {
    if (mine !== turn) return;
    show(main, el("h1", {}, error.status === 404 ? "Not found" : "It did not work"), el("p.failure", { role: "alert" }, error.message),
      el("p", {}, el("button", { onclick: open }, "Try again")));
  }
}

let known = null;

async function host() {
  known ??= await get("overview");
  return { readOnly: known.read_only, version: known.version };
}

window.addEventListener("hashchange", () => {
  open().then(() => main.focus({ preventScroll: true }));
});
open();
