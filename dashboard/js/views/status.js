// A device's status: a shape, a colour and a word, so that none of the three has to be seen.

import { el, setAttr, setText, svg } from "../dom.js";

/** In the order in which they need attention. */
export const STATUSES = Object.freeze(["offline", "stale", "unknown", "online"]);

const WORDS = new Map([
  ["online", "Online"],
  ["stale", "Stale"],
  ["offline", "Offline"],
  ["unknown", "Unknown"],
]);

const SHAPES = new Map([
  ["online", "M6 2a4 4 0 1 0 0 8a4 4 0 0 0 0-8z"],
  ["stale", "M6 .8 11.6 11H.4z"],
  ["offline", "M1.9.7 6 4.8 10.1.7 11.3 1.9 7.2 6l4.1 4.1-1.2 1.2L6 7.2l-4.1 4.1L.7 10.1 4.8 6 .7 1.9z"],
  ["unknown", "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9zm0 1.6a2.9 2.9 0 1 1 0 5.8a2.9 2.9 0 0 1 0-5.8z"],
]);

const SOURCES = new Map([
  ["lwt", "reported by the broker (last will)"],
  ["birth", "from its birth message"],
  ["status", "from its status message"],
  ["derived", "concluded from its messages"],
  ["timeout", "silent for longer than usual"],
]);

/** @param {string} status as told; what we do not know is unknown */
export function knownStatus(status) {
  return SHAPES.has(status) ? status : "unknown";
}

/** @param {string} source how the status is known, in words */
export function statusSource(source) {
  return SOURCES.get(source) ?? "";
}

/** The shape alone. */
export function statusShape(status) {
  return svg("svg", { class: "shape", viewBox: "0 0 12 12", "aria-hidden": "true", "data-status": status },
    svg("path", { d: SHAPES.get(status), "fill-rule": "evenodd" }));
}

/** @returns {HTMLElement & {update: (status: string) => void}} */
export function statusMark() {
  const path = svg("path", { "fill-rule": "evenodd" });
  const word = el("span.status-word");
  const mark = el("span.status", {}, svg("svg", { class: "shape", viewBox: "0 0 12 12", "aria-hidden": "true" }, path), word);
  mark.update = (status) => {
    setAttr(mark, "data-status", status);
    setAttr(path, "d", SHAPES.get(status));
    setText(word, WORDS.get(status));
  };
  return mark;
}

/** @param {string} status */
export function statusWord(status) {
  return WORDS.get(status);
}
