// The latest values of the picked series, as they come on the fleet's channel: the end of each line, until the history
// is asked again.

import { SampleRing } from "../rings.js";

const LENGTH = 1_024; // eight minutes at two a second; the history is asked sooner

export class LiveTails {
  /** @param {import("../store.js").Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Map<number, SampleRing>} */
    this.rings = new Map();
  }

  /** @param {number} seriesId */
  get(seriesId) {
    return this.rings.get(seriesId);
  }

  /**
   * Readings came.
   * @param {number[]} seriesIds the picked ones
   * @param {Set<string>} deviceIds whose
   * @returns {boolean} whether any of the picked ones moved
   */
  take(seriesIds, deviceIds) {
    let hasMoved = false;
    for (const id of this.rings.keys()) if (!seriesIds.includes(id)) this.rings.delete(id);
    for (const id of seriesIds) {
      const series = this.store.series.get(id);
      if (!series || series.timeMs === null || series.quality === "stale" || !deviceIds.has(series.deviceId)) continue;
      const ring = this.rings.get(id) ?? new SampleRing(LENGTH);
      this.rings.set(id, ring);
      ring.push(series.timeMs, encode(series));
      hasMoved = true;
    }
    return hasMoved;
  }
}

/** The other way round than model.js decodes. */
function encode({ kind, value, texts }) {
  if (value === null) return NaN;
  if (kind === "text") return texts.indexOf(value) >= 0 ? texts.indexOf(value) : NaN;
  return Number(value);
}
