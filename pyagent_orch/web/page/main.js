// The page's own addresses, and which view is in sight. A view is made, fills `main`, and is closed.

import { get } from "./api.js";
import { el, nameOf, refocus, show } from "./dom.js";

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
  const [kind, ...rest] = (path || "runs").split("/").map(decoded);
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
    document.title = "pyagent_orch";
    show(main, el("h1", {}, TITLES[error.status] ?? "It did not work"), el("p.failure", { role: "alert" }, error.message),
      el("p", {}, el("button", { onclick: open }, "Try again"), " ", kind !== "runs" && el("a", { href: "#/runs" }, "All runs")));
  }
}

const TITLES = { 401: "Not signed in", 403: "Not allowed", 404: "Not found" };

// An address that somebody has typed may be none.
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

let known = null;

async function host() {
  if (!known) {
    known = await get("overview");
    show(document.getElementById("host"), el("span", { title: `pyagent-orch ${known.version}` }, known.namespace),
      known.read_only && el("span.badge", {}, "read-only"));
  }
  return { readOnly: known.read_only, version: known.version };
}

// As elsewhere: / goes to the search.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const search = main.querySelector("input[type=search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

window.addEventListener("hashchange", () => {
  // Who has pressed a filter stays on it.
  const focus = main.contains(document.activeElement) ? nameOf(document.activeElement) : "";
  open().then(() => refocus(main, focus) || main.focus({ preventScroll: true }));
});
open();
