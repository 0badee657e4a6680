// Events of the history as the time bar shows them: which are worth a mark, what they are called, where they lie. Pure.

import { clip } from "./format.js";
import { label } from "./schema.js";

/**
 * @typedef {Awaited<ReturnType<typeof import("./archive.js").fetchEvents>>[number]} Happening
 * @typedef {"offline"|"stale"|"online"|"failed"|"command"|"note"} Look
 */

/** Of several at one place the first of these is seen. */
export const LOOKS = Object.freeze(["offline", "failed", "note", "command", "stale", "online"]);

const TOLD_STATES = new Map([["accepted", ""], ["failed", " failed"], ["timed_out", " timed out"]]);

/**
 * Whether it is more than a step on the way: a command is told when it was given, and when it came to nothing.
 * @param {Happening} event
 */
export function isTelling(event) {
  return event.kind === "command" ? TOLD_STATES.has(event.data.state) : event.kind === "availability" || event.kind === "note";
}

/**
 * @param {Happening} event
 * @returns {number} the first whole millisecond at which it has happened: what an address can name
 */
export function momentOf(event) {
  return Math.ceil(event.timeMs);
}

/**
 * @param {Happening} event
 * @returns {Look}
 */
export function lookOf(event) {
  if (event.kind === "note") return "note";
  if (event.kind === "command") return event.data.state === "accepted" ? "command" : "failed";
  const { availability } = event.data;
  return availability === "online" ? "online" : availability === "offline" || availability === "removed" ? "offline" : "stale";
}

/**
 * @param {Happening} event
 * @param {(deviceId: string) => string} nameOf
 */
export function wordsOf(event, nameOf) {
  if (event.kind === "note") return `Note: ${clip(String(event.data.text ?? ""), 80)}`;
  const device = clip(nameOf(event.deviceId ?? ""), 60);
  if (event.kind === "command") return `${device}: ${label(event.data.name) || "command"}${TOLD_STATES.get(event.data.state) ?? ""}`;
  return `${device}: ${event.data.availability ?? "unknown"}`;
}

/**
 * Where marks lie: what would lie upon another is one mark.
 * @param {Happening[]} events in order of time
 * @param {number} fromMs
 * @param {number} perMs pixels
 * @param {number} width pixels of a mark and the room beside it
 * @returns {{x: number, look: Look, events: Happening[]}[]}
 */
export function place(events, fromMs, perMs, width) {
  const marks = [];
  for (const event of events) {
    const x = (event.timeMs - fromMs) * perMs;
    const last = marks.at(-1);
    if (last && x - last.x < width) {
      last.events.push(event);
      if (LOOKS.indexOf(lookOf(event)) < LOOKS.indexOf(last.look)) last.look = lookOf(event);
    } else {
      marks.push({ x, look: lookOf(event), events: [event] });
    }
  }
  return marks;
}

const CROWDED = 0.5; // of the places for marks: beyond, single ones can no longer be told apart
const BAD = new Set(["offline", "failed"]);

/**
 * How much happened when, where there are too many events for marks.
 * @param {{x: number, events: Happening[]}[]} marks as `place` makes them
 * @param {number} places how many of them there is room for
 * @returns {{x: number, share: number, bad: number}[]|null} share: of the busiest place; bad: that part of it. null: not
 *   needed
 */
export function crowd(marks, places) {
  if (marks.length < places * CROWDED) return null;
  const most = marks.reduce((least, { events }) => Math.max(least, events.length), 1);
  return marks.map(({ x, events }) => {
    const bad = events.filter((event) => BAD.has(lookOf(event))).length;
    return { x, share: events.length / most, bad: bad / events.length };
  });
}
