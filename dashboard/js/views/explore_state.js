// What the Explore page shows, as a value and as an address: a link opens the same picture. Pure.

import { DAY, lengthWord, parseLength } from "../spans.js";

/** More lines than this nobody tells apart, and there are no more colours. */
export const MAX_SERIES = 12;
export const COMPARES = new Map([
  ["none", { label: "Compare with nothing", days: 0 }],
  ["day", { label: "With a day before", days: 1 }],
  ["week", { label: "With a week before", days: 7 }],
]);
const DEFAULT_LENGTH_MS = 3_600_000;
const MAX_MS = 8.64e15; // the last moment that a Date can tell

/**
 * @typedef {object} ExploreState
 * @property {number[]} seriesIds
 * @property {number} lengthMs of the span that follows the present
 * @property {{fromMs: number, toMs: number}|null} fixed null: the present is followed
 * @property {"none"|"day"|"week"} compare
 */

/**
 * @param {URLSearchParams} params as they stand in an address; what makes no sense is left out
 * @returns {ExploreState}
 */
export function parseState(params) {
  const named = params.getAll("series").join(",").split(",").filter((text) => /^\d{1,15}$/.test(text));
  const seriesIds = [...new Set(named.map(Number))].slice(0, MAX_SERIES);
  const [fromMs, toMs] = [moment(params.get("from")), moment(params.get("to"))];
  const fixed = fromMs !== null && toMs !== null && fromMs < toMs ? { fromMs, toMs } : null;
  const compare = COMPARES.has(params.get("compare")) ? params.get("compare") : "none";
  const lengthMs = fixed ? fixed.toMs - fixed.fromMs : (parseLength(params.get("last")) ?? DEFAULT_LENGTH_MS);
  return { seriesIds, lengthMs, fixed, compare };
}

/**
 * @param {ExploreState} state
 * @param {string} [hash] of the page; a moment that is being looked at (`at`) stays
 * @returns {string}
 */
export function exploreHref({ seriesIds, lengthMs, fixed, compare }, hash = "") {
  const parts = [];
  if (seriesIds.length) parts.push(`series=${seriesIds.join(",")}`);
  if (fixed) parts.push(`from=${Math.round(fixed.fromMs)}`, `to=${Math.round(fixed.toMs)}`);
  else parts.push(`last=${lengthWord(lengthMs)}`);
  if (compare !== "none") parts.push(`compare=${compare}`);
  const at = new URLSearchParams(hash.split("?")[1] ?? "").get("at");
  if (at !== null) parts.push(`at=${encodeURIComponent(at)}`);
  return `#/explore?${parts.join("&")}`;
}

/** Milliseconds, or ISO 8601 as people write it by hand. */
function moment(text) {
  if (text === null || text.trim() === "") return null;
  const ms = /^-?\d+$/.test(text.trim()) ? Number(text) : Date.parse(text);
  return Number.isFinite(ms) && Math.abs(ms) <= MAX_MS ? ms : null;
}

/** Spans to choose from. */
export const PRESETS = Object.freeze([
  [3_600_000, "1 h"],
  [6 * 3_600_000, "6 h"],
  [DAY, "24 h"],
  [7 * DAY, "7 d"],
  [30 * DAY, "30 d"],
  [365 * DAY, "1 y"],
]);
