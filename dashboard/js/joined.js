// History and live readings of one series as one run of samples: nothing twice, and no hole where they meet. Pure.

/**
 * Shaped like a ring (`length`, `time`, `value`, `lowerBound`), so that whatever draws a ring draws this. The history
 * counts as far as it goes; what was heard since follows.
 */
export class JoinedSamples {
  /**
   * @param {import("./past.js").Answer|null} answer
   * @param {import("./rings.js").SampleRing|null|undefined} ring
   * @param {{holds?: boolean, mergedMs?: (fromMs: number, toMs: number) => number}} [options]
   *   holds: a wanted value, whose silence is no gap; mergedMs: see `History.mergedMs`
   */
  constructor(answer, ring, { holds = false, mergedMs = () => 0 } = {}) {
    const { times, values } = answer ? (holds ? withoutGaps(answer) : answer) : EMPTY;
    this.ring = ring ?? null;
    this.heardMs = mergedMs;
    const seam = times.length ? times[times.length - 1] : -Infinity;
    /** Up to when the history marks its gaps itself: of its last pixel the last reading may be left out. */
    this.knownMs = answer ? Math.max(seam, Math.min(answer.knownMs, seam + answer.widthMs)) : -Infinity;
    this.skip = ring ? ring.lowerBound(seam) : 0;
    if (ring && this.skip < ring.length && ring.time(this.skip) === seam) this.skip++;
    const more = ring ? ring.length - this.skip : 0;
    // Between the end of an answer about some time ago and what was heard lately, nobody has asked yet.
    const isApart = answer && times.length > 0 && more > 0 && ring.time(this.skip) > answer.toMs;
    this.times = isApart ? Float64Array.of(...times, answer.toMs) : times;
    this.values = isApart ? Float64Array.of(...values, NaN) : values;
    this.length = this.times.length + more;
  }

  /** @param {number} i 0 is the oldest */
  time(i) {
    return i < this.times.length ? this.times[i] : this.ring.time(i - this.times.length + this.skip);
  }

  /** @param {number} i 0 is the oldest */
  value(i) {
    return i < this.values.length ? this.values[i] : this.ring.value(i - this.times.length + this.skip);
  }

  /**
   * The first sample at or after a time.
   * @param {number} timeMs
   * @returns {number} its index; `length` when there is none
   */
  lowerBound(timeMs) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time(middle) < timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * How much of a silence is none: the history marks its gaps itself, and merged readings leave none.
   * @param {number} fromMs
   * @param {number} toMs
   */
  mergedMs(fromMs, toMs) {
    const known = Math.max(0, Math.min(toMs, this.knownMs) - fromMs);
    return known + this.heardMs(Math.max(fromMs, Math.min(this.knownMs, toMs)), toMs);
  }
}

const EMPTY = Object.freeze({ times: new Float64Array(0), values: new Float64Array(0) });

/** What was wanted holds until something else is. */
function withoutGaps({ times, values }) {
  const kept = times.filter((_, i) => !Number.isNaN(values[i]));
  return { times: kept, values: values.filter((value) => !Number.isNaN(value)) };
}
