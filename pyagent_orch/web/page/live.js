// Events as they happen. The browser reconnects by itself and says where it was (Last-Event-ID).

import { address } from "./api.js";
import { show } from "./dom.js";

/**
 * Follow a stream of server-sent events.
 *
 * @param {string} path of the stream
 * @param {(event: {type: string, subject: string, data: object, at: string}) => void} told called for each
 * @param {() => void} caughtUp called after a connection, when what is shown may be old
 * @returns {() => void} ends it
 */
export function follow(path, told, caughtUp = () => {}) {
  const place = document.getElementById("connection");
  let source = null;
  let again = 0;
  const open = () => {
    source = new EventSource(address(path), { withCredentials: true });
    source.onopen = () => {
      say("live");
      caughtUp();
    };
    source.onerror = () => {
      say("reconnecting");
      // A server that answers with an error ends the browser's own tries.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 2000);
    };
    source.onmessage = ({ data }) => told(JSON.parse(data));
  };
  const say = (state) => {
    if (place.dataset.state === state) return;
    place.dataset.state = state;
    show(place, { live: "Live", reconnecting: "Reconnecting …", "": "" }[state]);
  };
  open();
  return () => {
    clearTimeout(again);
    source.close();
    say("");
  };
}
