// Making elements. Text from anywhere only ever becomes a text node: nothing here parses HTML.

/**
 * Make an element.
 *
 * @param {string} tag its name, with classes after dots: "p.quiet"
 * @param {object} attributes properties that begin with "on" are listeners; null and false are left out
 * @param {...(Node|string|number|null|Array)} children text is taken as text
 */
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  append(made, children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an element of a drawing. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  append(made, children);
  return made;
}

/** Put something else in place of what is there. */
export function show(place, ...children) {
  place.replaceChildren();
  append(place, children);
}

/**
 * As `show`, for what is drawn anew while somebody reads it: the focus stays where it was, and what was
 * unfolded stays unfolded.
 */
export function renew(place, ...children) {
  const focus = place.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const folds = new Map([...place.querySelectorAll("details")].map((one) => [nameOf(one.firstElementChild), one.open]));
  show(place, ...children);
  for (const one of place.querySelectorAll("details")) {
    const was = folds.get(nameOf(one.firstElementChild));
    if (was !== undefined && was !== one.open) one.open = was;
  }
  if (focus) refocus(place, focus);
}

/** Focus what has this name inside a place; false when there is none. */
export function refocus(place, name) {
  const found = [...place.querySelectorAll(CAN_FOCUS)].find((one) => nameOf(one) === name);
  found?.focus({ preventScroll: true });
  return Boolean(found);
}

const CAN_FOCUS = "a, button, summary, input, select, [tabindex]";

/** What an element is known by when it was made anew. */
export const nameOf = (one) => one.dataset.key ?? `${one.localName} ${one.getAttribute("href") ?? one.getAttribute("aria-label") ?? one.textContent}`;

/** A button that puts a text on the clipboard. */
export function copyButton(what, text) {
  const made = el("button.small", { "aria-label": `Copy ${what}`, title: `Copy ${what}`, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text());
      made.textContent = "Copied";
    } catch {
      made.textContent = "Not allowed";
    }
    setTimeout(() => (made.textContent = "Copy"), 1500);
  } }, "Copy");
  return made;
}

function append(parent, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : readable(String(child)));
  }
}

// Control characters and those that turn the direction of writing would hide what a text says.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** Text whose invisible characters are shown by their number. */
export function readable(text) {
  return text.replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Tell something at the edge of the page, for a while; read out by screen readers. */
export function notice(text, kind = "info") {
  const place = document.getElementById("notices");
  const made = el(`p.notice.${kind}`, {}, text);
  made.append(el("button.plain", { onclick: () => made.remove(), "aria-label": "Close" }, "×"));
  place.append(made);
  if (kind !== "failure") setTimeout(() => made.remove(), 6000);
}
