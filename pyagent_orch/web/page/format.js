// Numbers, times and values as people read them.

/** Seconds in a few characters: "0.4 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  if (seconds < 0.0005) return "0 s";
  if (seconds < 1) return `${(seconds * 1000).toFixed(0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** How long a record ran, or has been running, in seconds; null when it has not begun. */
export function took(record, now = Date.now()) {
  if (!record.started_at) return null;
  const end = record.completed_at ? Date.parse(record.completed_at) : now;
  return Math.max(0, (end - Date.parse(record.started_at)) / 1000);
}

/** How long ago: "just now", "5 min ago". */
export function ago(iso, now = Date.now()) {
  if (!iso) return "";
  const seconds = (now - Date.parse(iso)) / 1000;
  if (seconds < 0) return `in ${duration(-seconds)}`;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  return `${duration(seconds).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A moment in the reader's own zone. */
export function moment(iso) {
  return iso ? new Date(iso).toLocaleString() : "";
}

/** Tokens and money of a usage, in a few words; empty for none. */
export function cost(usage) {
  if (!usage || !usage.requests) return "";
  const tokens = usage.input_tokens + usage.output_tokens;
  return [`${tokens.toLocaleString()} tokens`, money(usage)].filter(Boolean).join(", ");
}

/** Tokens in and out, requests and money of a usage; empty for none. */
export function costInFull(usage) {
  if (!usage || !usage.requests) return "";
  const parts = [
    `${usage.input_tokens.toLocaleString()} tokens in, ${usage.output_tokens.toLocaleString()} out`,
    usage.requests > 1 && `${usage.requests.toLocaleString()} requests`,
    money(usage) || (usage.cost_usd === null && "price unknown"),
  ];
  return parts.filter(Boolean).join(" · ");
}

function money({ cost_usd: dollars }) {
  if (!dollars) return "";
  return dollars < 0.0001 ? "under $0.0001" : `$${dollars.toFixed(dollars < 1 ? 4 : 2)}`;
}

/** A value on one short line. */
export function preview(value, length = 120) {
  if (value === null || value === undefined) return "";
  const text = (typeof value === "string" ? value.slice(0, length * 4) : JSON.stringify(value) ?? "")
    .slice(0, length * 4)
    .replace(/\s+/g, " ");
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** A value in full: text as it is, all else as indented JSON. */
export function full(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

export const MARKS = {
  pending: "·",
  running: "▶",
  retrying: "↻",
  completed: "✓",
  failed: "✗",
  cancelled: "⊘",
  skipped: "–",
};

export const STATES = Object.keys(MARKS);

/** Whether a state is final. */
export function isFinal(status) {
  return ["completed", "failed", "cancelled", "skipped"].includes(status);
}
