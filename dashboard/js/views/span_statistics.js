// Count, smallest, largest and mean of each series in the span that is shown: asked of the server, which has them all.

import { fetchStatistics } from "../archive.js";

const SETTLE_MS = 300; // while somebody zooms and pans, nobody reads numbers
const YOUNGEST_MS = 10_000;
const OLDEST_MS = 120_000;
const SHARE = 200;

export class SpanStatistics {
  /**
   * @param {() => void} onChange
   * @param {typeof fetchStatistics} [fetch]
   */
  constructor(onChange, fetch = fetchStatistics) {
    this.onChange = onChange;
    this.fetch = fetch;
    /** @type {Map<number, import("../archive.js").Statistics>} */
    this.known = new Map();
    this.error = null;
    this.isOld = false; // of another span than the one shown
    this.key = "";
    this.askedAt = -Infinity;
    this.timer = 0;
    this.abort = null;
  }

  /**
   * Say what is on the screen; called with every paint.
   * @param {number[]} seriesIds
   * @param {{fromMs: number, toMs: number}} span
   * @param {boolean} isMoving the span follows the present
   */
  want(seriesIds, { fromMs, toMs }, isMoving) {
    const key = JSON.stringify([seriesIds, isMoving ? toMs - fromMs : [fromMs, toMs]]);
    const patience = Math.min(OLDEST_MS, Math.max(YOUNGEST_MS, (toMs - fromMs) / SHARE));
    if (!seriesIds.length || (key === this.key && performance.now() - this.askedAt < patience)) return;
    if (key !== this.key) this.isOld = true;
    this.key = key;
    this.askedAt = performance.now();
    clearTimeout(this.timer);
    this.abort?.abort();
    this.timer = setTimeout(() => void this.#ask(seriesIds, fromMs, toMs), SETTLE_MS);
  }

  /** @param {number} seriesId */
  get(seriesId) {
    return this.known.get(seriesId);
  }

  stop() {
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  async #ask(seriesIds, from, to) {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const told = await this.fetch({ seriesIds, from, to, signal: abort.signal });
      if (this.abort !== abort) return;
      this.known = new Map(told.map((one) => [one.seriesId, one]));
      this.isOld = false;
      this.error = null;
    } catch (error) {
      if (this.abort !== abort || error.name === "AbortError") return;
      this.error = error;
    }
    this.onChange();
  }
}
