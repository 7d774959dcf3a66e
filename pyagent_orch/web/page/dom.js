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
