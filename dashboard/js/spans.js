// Spans of time: those that people choose from, in words, and moved. Pure.

import { formatTime } from "./format.js";

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
export const DAY = 86_400_000;

const UNITS = new Map([["s", SECOND], ["min", MINUTE], ["h", HOUR], ["d", DAY]]);
const WORDS = [[365 * DAY, "year"], [DAY, "day"], [HOUR, "hour"], [MINUTE, "minute"], [SECOND, "second"]];
// Closer than this nothing is to be seen, and farther no clock goes.
const LEAST_MS = 10;
const MOST_MS = 100 * 365 * DAY;

/**
 * "15min", "6h", "7d" in milliseconds; null for anything else.
 * @param {string|null} text
 */
export function parseLength(text) {
  const match = /^(\d{1,9})(s|min|h|d)$/.exec(text ?? "");
  const ms = match ? Number(match[1]) * UNITS.get(match[2]) : 0;
  return ms >= SECOND && ms <= MOST_MS ? ms : null;
}

/**
 * The same in one word for an address, rounded to seconds.
 * @param {number} ms
 */
export function lengthWord(ms) {
  for (const [unit, size] of [...UNITS].reverse()) if (ms % size === 0) return `${ms / size}${unit}`;
  return `${Math.max(1, Math.round(ms / SECOND))}s`;
}

/**
 * As it stands behind "the last": "minute", "6 hours", "30 days".
 * @param {number} ms
 */
export function lengthLabel(ms) {
  // A day is still "24 hours": nobody knows whether "the last day" is yesterday.
  const [size, word] = WORDS.find(([one, name]) => ms >= one * (name === "day" ? 2 : 1) && ms % one === 0) ?? [SECOND, "second"];
  const count = Math.max(1, Math.round(ms / size));
  return count === 1 ? word : `${count} ${word}s`;
}

const pad = (number) => String(number).padStart(2, "0");
const dayOf = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;

/**
 * From when to when, by the clocks here: "2026-03-01 08:00 – 09:30". Seconds only where the span is short.
 * @param {number} fromMs
 * @param {number} toMs
 */
export function formatSpan(fromMs, toMs) {
  const [from, to] = [new Date(fromMs), new Date(toMs)];
  if (Number.isNaN(from.getTime()) || Number.isNaN(to.getTime())) return "";
  const time = (date) => (toMs - fromMs < HOUR ? formatTime(date.getTime()) : formatTime(date.getTime()).slice(0, 5));
  if (dayOf(from) === dayOf(to)) return `${dayOf(from)} ${time(from)} – ${time(to)}`;
  return `${dayOf(from)} ${time(from)} – ${dayOf(to)} ${time(to)}`;
}

/**
 * Half a picture further, back or forth.
 * @param {{fromMs: number, toMs: number}} span
 * @param {number} steps of half its length; negative: back
 */
export function moved({ fromMs, toMs }, steps) {
  const by = ((toMs - fromMs) / 2) * steps;
  return { fromMs: fromMs + by, toMs: toMs + by };
}

/**
 * Whether a span ends about now: nothing lies ahead, so who has gone there wants to follow.
 * @param {{fromMs: number, toMs: number}} span
 * @param {number} nowMs
 */
export function isAtEnd({ fromMs, toMs }, nowMs) {
  return toMs >= nowMs - (toMs - fromMs) * 0.05;
}

/**
 * Twice as much around the same middle, or half.
 * @param {{fromMs: number, toMs: number}} span
 * @param {number} factor
 */
export function scaled({ fromMs, toMs }, factor) {
  const middle = (fromMs + toMs) / 2;
  const half = Math.min(MOST_MS, Math.max(LEAST_MS, (toMs - fromMs) * factor)) / 2;
  return { fromMs: middle - half, toMs: middle + half };
}
