// What was lost, merged and delayed, as far as this page knows. Pure: `stats` and `lag` go in, numbers and words come out.

import { formatCount, formatDuration, formatNumber } from "./format.js";

const WINDOW_MS = 60_000;
const MAX_KEPT = 64; // at one in two seconds, twice the window
const LAG_SHOWN_MS = 10_000;
const LAG_APART_MS = 2_000; // several channels that lag at once are one time
const BEHIND_LIMIT_MS = 2_000; // the fleet channel itself waits up to half a second, painting a quarter

/** What nobody will ever see: data that is gone for everybody. */
export const GONE = Object.freeze(["shed", "unrecorded", "source_errors"]);
/** The same, what the broker dropped for some client, perhaps not for us, and what one dashboard had to skip. */
export const LOSSES = Object.freeze([...GONE, "broker_dropped", "dropped"]);

const numberOf = (value) => (Number.isFinite(value) ? value : 0);

/** Readers of counters, for `total` and `recent`. */
export const lostOf = (counters) => LOSSES.reduce((sum, name) => sum + numberOf(counters[name]), 0);
export const goneOf = (counters) => GONE.reduce((sum, name) => sum + numberOf(counters[name]), 0);
export const counterOf = (name) => (counters) => numberOf(counters[name]);
export const rejectedOf = (counters) => Object.values(counters.rejected ?? {}).reduce((sum, count) => sum + numberOf(count), 0);

export class Health {
  constructor() {
    /** @type {{at: number, counters: object}[]} of the last minute and one before, oldest first */
    this.kept = [];
    /** What happened to this page alone, since it was opened. */
    this.own = { lagged: 0, merged: 0, laggedAt: -Infinity, resumed: 0, restarted: 0, overrun: 0 };
  }

  /** Another bridge: its counters begin at 0. */
  reset() {
    this.kept = [];
  }

  /** @returns {{at: number, counters: object}|null} */
  get latest() {
    return this.kept.at(-1) ?? null;
  }

  /**
   * @param {object} counters since the bridge started
   * @param {number} at the server's time in ms
   */
  take(counters, at) {
    while (this.kept.length && this.kept.at(-1).at >= at) this.kept.pop();
    this.kept.push({ at, counters });
    while (this.kept.length > MAX_KEPT || (this.kept.length > 2 && this.kept[1].at <= at - WINDOW_MS)) this.kept.shift();
  }

  /**
   * This page fell behind and got merged readings.
   * @param {number} merged how many were left out
   * @param {number} at our time in ms
   */
  lag(merged, at) {
    if (at - this.own.laggedAt > LAG_APART_MS) this.own.lagged++;
    this.own.merged += numberOf(merged);
    this.own.laggedAt = at;
  }

  /** @param {number} at our time in ms */
  isLagging(at) {
    return at - this.own.laggedAt < LAG_SHOWN_MS;
  }

  /**
   * @param {(counters: object) => number} read
   * @returns {number} since the bridge started
   */
  total(read) {
    return this.latest ? read(this.latest.counters) : 0;
  }

  /**
   * @param {(counters: object) => number} read
   * @returns {number} since `span()` ago
   */
  recent(read) {
    return this.latest ? Math.max(0, read(this.latest.counters) - read(this.kept[0].counters)) : 0;
  }

  /** @returns {number} how long `recent` covers, in ms: a minute, less while the page is young, more after a break */
  span() {
    return this.latest ? this.latest.at - this.kept[0].at : 0;
  }

  /**
   * How fast a counter grows.
   * @param {string} name
   * @returns {number|null} per second, over the last two messages; null before them
   */
  rate(name) {
    const [before, latest] = this.kept.slice(-2);
    if (!latest) return null;
    const growth = latest.counters[name] - before.counters[name];
    return growth >= 0 ? growth / ((latest.at - before.at) / 1000) : null;
  }
}

/** @param {number} spanMs */
export function spanWords(spanMs) {
  return spanMs > 50_000 && spanMs < 75_000 ? "last minute" : `last ${formatDuration(spanMs)}`;
}

/** @param {number} ms */
export function behindWords(ms) {
  return ms < 60_000 ? `${formatNumber(ms / 1000, ms < 10_000 ? 2 : 1)} s behind` : `${formatDuration(ms)} behind`;
}

/**
 * The line in the header.
 * @param {Health} health
 * @param {{ms: number}|null} behind
 * @param {number} at our time in ms
 * @returns {{tone: "calm"|"warn"|"bad", parts: {name: string, text: string, tone: string}[]}}
 */
export function healthLine(health, behind, at) {
  const recent = health.recent(lostOf);
  const lostTone = recent === 0 ? "calm" : health.recent(goneOf) > 0 ? "bad" : "warn";
  const lost = recent > 0 ? `${formatCount(recent)} lost in the ${spanWords(health.span())}` : `${formatCount(health.total(lostOf))} lost`;
  const rejected = health.total(rejectedOf);
  const isLagging = health.isLagging(at);
  const conflated = health.total(counterOf("conflated")) + health.own.merged;
  const isLate = behind !== null && behind.ms > BEHIND_LIMIT_MS;
  const parts = [{ name: "lost", text: lost, tone: lostTone }];
  if (rejected > 0) parts.push({ name: "rejected", text: `${formatCount(rejected)} rejected`, tone: "calm" });
  parts.push({ name: "conflated", text: `${formatCount(conflated)} conflated`, tone: "calm" });
  if (behind) parts.push({ name: "behind", text: behindWords(behind.ms), tone: isLate ? "warn" : "calm" });
  if (isLagging) parts.push({ name: "lag", text: "reading too slowly", tone: "warn" });
  const tones = parts.map((part) => part.tone);
  return { tone: tones.includes("bad") ? "bad" : tones.includes("warn") ? "warn" : "calm", parts };
}
