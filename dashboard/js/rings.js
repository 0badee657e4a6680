// Recent samples in typed arrays, with ceilings: a page that stays open for a month uses what it used after an hour.

/** Samples in order of time, at full rate. Grows by doubling up to its limit, then forgets the oldest. */
export class SampleRing {
  /** @param {number} limit most samples to keep; rounded up to a power of two */
  constructor(limit) {
    this.limit = 2 ** Math.ceil(Math.log2(Math.max(2, limit)));
    this.length = 0;
    this.start = 0;
    this.#allocate(Math.min(256, this.limit));
  }

  /** @param {number} i 0 is the oldest */
  time(i) {
    return this.times[(this.start + i) & this.mask];
  }

  /** @param {number} i 0 is the oldest */
  value(i) {
    return this.values[(this.start + i) & this.mask];
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
   * Add a sample. One that comes late is put where it belongs; one of the same time replaces the other.
   * @param {number} timeMs
   * @param {number} value NaN: no value
   * @returns {boolean} false when it is older than all that a full ring holds
   */
  push(timeMs, value) {
    let at = this.length;
    if (at > 0 && timeMs <= this.time(at - 1)) {
      at = this.lowerBound(timeMs);
      if (this.time(at) === timeMs) {
        this.values[(this.start + at) & this.mask] = value;
        return true;
      }
    }
    if (this.length === this.limit) {
      if (at === 0) return false;
      this.start = (this.start + 1) & this.mask;
      this.length--;
      at--;
    } else if (this.length > this.mask) {
      this.#grow();
    }
    for (let i = this.length; i > at; i--) {
      const to = (this.start + i) & this.mask;
      const from = (this.start + i - 1) & this.mask;
      this.times[to] = this.times[from];
      this.values[to] = this.values[from];
    }
    const slot = (this.start + at) & this.mask;
    this.times[slot] = timeMs;
    this.values[slot] = value;
    this.length++;
    return true;
  }

  clear() {
    this.length = 0;
    this.start = 0;
  }

  #allocate(capacity) {
    this.times = new Float64Array(capacity);
    this.values = new Float64Array(capacity);
    this.mask = capacity - 1;
  }

  #grow() {
    const { times, values, start, mask } = this;
    this.#allocate((mask + 1) * 2);
    for (let i = 0; i < this.length; i++) {
      this.times[i] = times[(start + i) & mask];
      this.values[i] = values[(start + i) & mask];
    }
    this.start = 0;
  }
}

export const SPARK_BUCKETS = 60;
export const SPARK_SPAN_MS = 300_000;

const FINE_MS = 1_000;
const COARSE_MS = SPARK_SPAN_MS / SPARK_BUCKETS;

/**
 * The last five minutes as lowest, highest and last value of each five seconds; during the first minute of each
 * second, so that a sparkline moves from the start. Never grows, whatever the rate.
 */
export class SparkRing {
  constructor() {
    // Which bucket of time a slot holds; a slot of another round is empty.
    this.stamps = new Float64Array(SPARK_BUCKETS);
    this.lows = new Float64Array(SPARK_BUCKETS);
    this.highs = new Float64Array(SPARK_BUCKETS);
    this.lasts = new Float64Array(SPARK_BUCKETS);
    this.lastTimes = new Float64Array(SPARK_BUCKETS);
    this.clear();
  }

  /**
   * @param {number} timeMs
   * @param {number} value NaN is left out: a hole, not a point
   */
  push(timeMs, value) {
    if (!Number.isFinite(value) || timeMs < 0) return;
    if (timeMs < this.firstMs) this.firstMs = timeMs;
    if (this.bucketMs === FINE_MS && timeMs - this.firstMs >= FINE_MS * (SPARK_BUCKETS - 1)) this.#widen();
    this.#add(timeMs, value, value, value);
  }

  clear() {
    this.bucketMs = FINE_MS;
    this.firstMs = Infinity;
    this.stamps.fill(-1);
  }

  #add(timeMs, low, high, last) {
    const bucket = Math.floor(timeMs / this.bucketMs);
    const slot = bucket % SPARK_BUCKETS;
    if (bucket < this.stamps[slot]) return; // of an older round
    if (bucket > this.stamps[slot]) {
      this.stamps[slot] = bucket;
      this.lows[slot] = low;
      this.highs[slot] = high;
      this.lasts[slot] = last;
      this.lastTimes[slot] = timeMs;
      return;
    }
    if (low < this.lows[slot]) this.lows[slot] = low;
    if (high > this.highs[slot]) this.highs[slot] = high;
    if (timeMs >= this.lastTimes[slot]) {
      this.lasts[slot] = last;
      this.lastTimes[slot] = timeMs;
    }
  }

  #widen() {
    const { stamps, lows, highs, lasts, lastTimes } = this;
    const filled = [...stamps.keys()]
      .filter((slot) => stamps[slot] >= 0)
      .map((slot) => [lastTimes[slot], lows[slot], highs[slot], lasts[slot]]);
    this.bucketMs = COARSE_MS;
    stamps.fill(-1);
    for (const bucket of filled) this.#add(...bucket);
  }
}
