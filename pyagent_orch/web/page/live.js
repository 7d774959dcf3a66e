// Events as they happen. The browser reconnects by itself and says where it was (Last-Event-ID).

import { address, get } from "./api.js";
import { show } from "./dom.js";

const WORDS = {
  live: "Live",
  reconnecting: "Reconnecting …",
  ended: "Finished",
  asleep: "Paused",
  refused: "Signed out: open the printed address again",
  "": "",
};
const AGAIN = 2000; // milliseconds, after an answer that ends the browser's own tries
const ASLEEP = 5000; // milliseconds out of sight, after which the connection is given up

/**
 * Follow a stream of server-sent events. While the page is out of sight it is closed: a browser keeps few
 * connections to one server, and pages in the background would use them up.
 *
 * @param {string} path of the stream
 * @param {object} query of the stream, such as where to follow from
 * @param {object} told a function for each kind: event({type, subject, at, data}), text({task, attempt, part,
 *   offset, text}), snapshot(summary) when what is shown may be old, end(summary)
 * @returns {() => void} ends it
 */
export function follow(path, query, told) {
  const place = document.getElementById("connection");
  let source = null;
  let timer = 0;
  let over = false;
  let last = "";
  const say = (state) => {
    place.dataset.state = state;
    show(place, WORDS[state]);
  };
  const open = () => {
    source = new EventSource(address(path, last ? { after: last } : query), { withCredentials: true });
    source.onopen = () => say("live");
    source.onerror = () => {
      if (over) return;
      say("reconnecting");
      // A server that answers with an error ends the browser's own tries.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(again, AGAIN);
    };
    for (const kind of ["event", "text", "snapshot", "end"]) {
      source.addEventListener(kind, ({ data, lastEventId }) => {
        last = lastEventId;
        if (kind === "end") {
          over = true;
          source.close();
          say("ended");
        }
        told[kind]?.(JSON.parse(data));
      });
    }
  };
  const again = async () => {
    const status = await get("overview").then(() => 200, (error) => error.status);
    if (over || document.hidden) return;
    if (status === 401) say("refused");
    // Whatever the reason was, what is shown may be old by now.
    else {
      last = "";
      query = {};
      open();
    }
  };
  const seen = () => {
    clearTimeout(timer);
    if (over) return;
    if (!document.hidden) {
      if (source.readyState === EventSource.CLOSED) open();
      return;
    }
    timer = setTimeout(() => {
      source.close();
      say("asleep");
    }, ASLEEP);
  };
  document.addEventListener("visibilitychange", seen);
  open();
  return () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    source.close();
    say("");
  };
}

/** Have something done a moment later, once for all that asks for it meanwhile; `stop` ends it. */
export function calmly(milliseconds, work) {
  let timer = null;
  const later = () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, milliseconds);
  };
  return { later, stop: () => clearTimeout(timer) };
}
