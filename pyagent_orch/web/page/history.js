// What happened to one task: its attempts, their workers and their errors; read when it is unfolded.

import { get } from "./api.js";
import { el, show } from "./dom.js";
import { duration, moment, preview } from "./format.js";

const WORDS = {
  "task.submitted": () => "submitted",
  "task.started": ({ attempt, worker }) => `attempt ${attempt} begins on ${worker}`,
  "task.retried": ({ attempt, delay_ms: delay }) => `attempt ${attempt} failed; the next one comes ${Number(delay) > 0 ? `in ${duration(delay / 1000)}` : "at once"}`,
  "task.completed": ({ attempt }) => (Number(attempt) > 1 ? `attempt ${attempt} completed` : "completed"),
  "task.failed": () => "failed for good",
  "task.cancelled": ({ reason }) => (reason ? `cancelled: ${reason}` : "cancelled"),
  "task.skipped": ({ reason }) => (reason ? `skipped: ${reason}` : "skipped"),
  "task.requeued": () => "tried again by hand",
  "task.released": ({ worker }) => `given back by ${worker}`,
  "task.recovered": ({ worker }) => (worker ? `${worker} was lost; it runs again` : "its message was lost; sent again"),
  "task.expanded": ({ tasks }) => `added ${tasks} tasks and waits for them`,
};

/** The fold with the history of a task; open where there is more than one attempt to tell of. */
export function history(task) {
  const list = el("ol.history", {});
  const read = async ({ target }) => {
    if (!target.open || list.childElementCount) return;
    try {
      const { items, whole } = await get(`tasks/${encodeURIComponent(task.id)}/history`);
      show(list, items.map((one) => line(one, task)), !whole && el("li.quiet", {}, "More than can be looked through here has happened since."),
        !items.length && el("li.quiet", {}, "The events of that time are not kept any more."));
    } catch (error) {
      show(list, el("li.failure", {}, error.message));
    }
  };
  return el("details", { ontoggle: read, open: task.attempts > 1 },
    el("summary", {}, task.attempts > 1 ? `History: ${task.attempts} attempts` : "History"), list);
}

function line({ type, at, data }, task) {
  const words = (WORDS[type] ?? (() => type))(data);
  const since = task.created_at ? duration((Date.parse(at) - Date.parse(task.created_at)) / 1000) : "";
  return el("li", {}, el("time", { datetime: at, title: moment(at) }, since ? `+${since}` : moment(at)), el("span", {}, words,
    data.error && el("span.error", {}, preview(`${data.error.type}: ${data.error.message}`, 300))));
}
