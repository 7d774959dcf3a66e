// Calls to the router that this page is served beside. Errors are problem details (RFC 9457).

import { notice } from "./dom.js";

const BASE = new URL("api/", document.baseURI);

/** What went wrong, as the server says it. */
export class Problem extends Error {
  constructor(status, details) {
    super(details.detail ?? details.title ?? `HTTP ${status}`);
    [this.status, this.details] = [status, details];
  }
}

/** The address of a path of the router. */
export function address(path, query = {}) {
  const made = new URL(path, BASE);
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") made.searchParams.append(key, value);
  }
  return made;
}

async function call(method, path, { query, body, signal } = {}) {
  const answer = await fetch(address(path, query), {
    method,
    signal,
    // No form and no other site can send this header without being asked by the server.
    headers: { Accept: "application/json", "Content-Type": "application/json", "X-Requested-With": "fetch" },
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
  });
  const text = await answer.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    found = { title: text.slice(0, 200) };
  }
  if (!answer.ok) throw new Problem(answer.status, found ?? {});
  return found;
}

/** Read something. */
export function get(path, query = {}, signal = undefined) {
  return call("GET", path, { query, signal });
}

/**
 * Change something; says so on the page, or why not. Returns the answer, null when it failed.
 *
 * @param {string} path of the router
 * @param {string|((answer: object) => string)} said what is told when it is done
 * @param {object} body of the request
 * @param {string} method of the request
 */
export async function act(path, said, body = {}, method = "POST") {
  try {
    const answer = await call(method, path, { body });
    notice(typeof said === "function" ? said(answer) : said);
    return answer ?? {};
  } catch (error) {
    notice(error.message, "failure");
    return null;
  }
}
