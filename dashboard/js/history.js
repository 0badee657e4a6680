// The samples of the device that is open, at full rate, for its charts.

import { SampleRing } from "./rings.js";

// One device page holds at most this many samples, 6.4 MB, however many metrics the device has.
const MAX_SAMPLES = 400_000;
const MAX_PER_SERIES = 16_384;
const MIN_PER_SERIES = 256;
const MAX_MERGED = 64;

export class History {
  constructor() {
    /** @type {string|null} */
    this.deviceId = null;
    /** @type {Map<number, SampleRing>} by series id */
    this.rings = new Map();
    /** @type {{fromMs: number, toMs: number}[]} times in which readings came merged: few points, but no holes */
    this.merged = [];
    this.framedMs = NaN; // the latest live frame
  }

  /** @param {string|null} deviceId whose samples to keep from now on; null: of none */
  open(deviceId) {
    this.deviceId = deviceId;
    this.rings.clear();
    this.merged = [];
    this.framedMs = NaN;
  }

  /** @param {number} seriesId */
  get(seriesId) {
    return this.rings.get(seriesId);
  }

  /**
   * @param {import("./model.js").Series} series
   * @param {number} siblings how many series share the memory
   * @param {number} timeMs
   * @param {number} number as frames carry it
   */
  keep(series, siblings, timeMs, number) {
    if (series.deviceId !== this.deviceId) return;
    let ring = this.rings.get(series.id);
    if (!ring) {
      const share = Math.max(MIN_PER_SERIES, MAX_SAMPLES / Math.max(1, siblings));
      // Rounded down to a power of two, because rings round up.
      ring = new SampleRing(Math.min(MAX_PER_SERIES, 2 ** Math.floor(Math.log2(share))));
      this.rings.set(series.id, ring);
    }
    ring.push(timeMs, number);
  }

  /** @returns {number|null} the time of the oldest sample; null when there is none */
  oldestMs() {
    let oldest = Infinity;
    for (const ring of this.rings.values()) if (ring.length) oldest = Math.min(oldest, ring.time(0));
    return oldest === Infinity ? null : oldest;
  }

  /**
   * A live frame of the open device came.
   * @param {number} serverMs
   * @param {boolean} isMerged whether it stands for all the time since the one before
   */
  framed(serverMs, isMerged) {
    if (isMerged && this.framedMs < serverMs) this.merged.push({ fromMs: this.framedMs, toMs: serverMs });
    if (this.merged.length > MAX_MERGED) this.merged.shift();
    this.framedMs = serverMs;
  }

  /**
   * For how much of the time between two samples we know that others lay there and were merged: that is no hole.
   * @param {number} fromMs
   * @param {number} toMs
   * @returns {number} milliseconds
   */
  mergedMs(fromMs, toMs) {
    return this.merged.reduce((sum, span) => sum + Math.max(0, Math.min(toMs, span.toMs) - Math.max(fromMs, span.fromMs)), 0);
  }

  /** The past is about to be told anew. */
  clear() {
    for (const ring of this.rings.values()) ring.clear();
    this.merged = [];
  }

  /** @param {number} seriesId */
  remove(seriesId) {
    this.rings.delete(seriesId);
  }
}
