// Events as they happen. The browser reconnects by itself and says where it was (Last-Event-ID).

import { address } from "./api.js";
import { show } from "./dom.js";

const WORDS = { live: "Live", reconnecting: "Reconnecting …", ended: "Finished", "": "" };

/**
 * Follow a stream of server-sent events.
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
  let again = 0;
  let over = false;
  const say = (state) => {
    place.dataset.state = state;
    show(place, WORDS[state]);
  };
  const open = (asked) => {
    source = new EventSource(address(path, asked), { withCredentials: true });
    source.onopen = () => say("live");
    source.onerror = () => {
      if (over) return;
      say("reconnecting");
      // A server that answers with an error ends the browser's own tries.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 2000, {});
    };
    for (const kind of ["event", "text", "snapshot", "end"]) {
      source.addEventListener(kind, ({ data }) => {
        if (kind === "end") {
          over = true;
          source.close();
          say("ended");
        }
        told[kind]?.(JSON.parse(data));
      });
    }
  };
  open(query);
  return () => {
    over = true;
    clearTimeout(again);
    source.close();
    say("");
  };
}
