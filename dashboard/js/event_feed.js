// The events that the time bar marks: asked for once for each stretch of time, and again when something has happened.

import { fetchEvents, fetchSpan } from "./archive.js";
import { isTelling, momentOf } from "./happenings.js";

const MOST = 2_000; // more marks than pixels tell nothing
const SETTLE_MS = 250; // a wheel turns in many steps
const NEWS_MS = 3_000; // what is happening right now comes in bursts
const PAGE = 100; // of a search for the next event: most answers have it among the first
const MAX_PAGES = 20;

export class EventFeed {
  /** @param {() => void} onChange when there is something else to show */
  constructor(onChange) {
    this.onChange = onChange;
    /** @type {import("./happenings.js").Happening[]} in order of time */
    this.events = [];
    /** @type {number|null} from when on all are known; null: from the beginning of what was asked */
    this.completeFromMs = null;
    this.firstMs = null;
    this.range = null;
    this.deviceId = null;
    this.timer = 0;
    this.version = 0;
    this.abort = null;
  }

  /**
   * Which stretch is shown, and of which device; null: of all.
   * @param {{fromMs: number, toMs: number}} range
   * @param {string|null} deviceId
   */
  cover(range, deviceId) {
    const known = this.range;
    const span = range.toMs - range.fromMs;
    const isFar = !known || range.fromMs < known.fromMs || range.toMs > known.toMs + span / 20 || span * 4 < known.toMs - known.fromMs;
    if (!isFar && deviceId === this.deviceId) return;
    // Some more on both sides, so that a short drag needs no new question.
    this.range = { fromMs: range.fromMs - span / 2, toMs: range.toMs + span / 2 };
    this.deviceId = deviceId;
    this.#soon(SETTLE_MS);
  }

  /** Something has happened just now. */
  news() {
    if (this.range && !this.timer) this.#soon(NEWS_MS);
  }

  /** From when on there is a history. */
  async askFirst() {
    try {
      const { firstMs } = await fetchSpan();
      if (firstMs === this.firstMs) return;
      this.firstMs = firstMs;
      this.#changed();
    } catch {
      // Without it the bar does not know where the history begins: nothing else is lost.
    }
  }

  /**
   * The next event after a moment, or the one before.
   * @param {number} atMs
   * @param {1|-1} direction
   * @param {number} nowMs
   * @param {string|null} deviceId
   * @returns {Promise<import("./happenings.js").Happening|null>} rejects with ArchiveError
   */
  async search(atMs, direction, nowMs, deviceId) {
    let [from, to] = direction > 0 ? [Math.floor(atMs) + 1, nowMs + 1] : [this.firstMs ?? 0, Math.ceil(atMs)];
    for (let page = 0; page < MAX_PAGES && from < to; page++) {
      const order = direction > 0 ? "oldest" : "newest";
      const events = await fetchEvents({ from, to, order, limit: PAGE, deviceId: deviceId ?? undefined });
      const found = events.find((event) => isTelling(event) && (momentOf(event) - atMs) * direction > 0);
      if (found || events.length < PAGE) return found ?? null;
      if (direction > 0) from = Math.floor(events.at(-1).timeMs) + 1;
      else to = Math.floor(events.at(-1).timeMs);
    }
    return null;
  }

  #soon(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.#ask();
    }, ms);
  }

  async #ask() {
    if (document.visibilityState !== "visible") return void (this.range = null); // asked again when somebody looks
    this.abort?.abort();
    this.abort = new AbortController();
    const { fromMs, toMs } = this.range;
    const deviceId = this.deviceId ?? undefined;
    try {
      const events = await fetchEvents({ from: fromMs, to: toMs, deviceId, limit: MOST, order: "newest", signal: this.abort.signal });
      events.sort((a, b) => a.timeMs - b.timeMs);
      this.completeFromMs = events.length >= MOST ? events[0].timeMs : null;
      this.events = events.filter(isTelling);
      this.#changed();
    } catch {
      // The bar works without marks; the next stretch, or the next event, asks again.
    }
  }

  #changed() {
    this.version++;
    this.onChange();
  }
}
