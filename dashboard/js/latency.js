// Glass to glass: how old a reading is when it can be seen, and where on its way it spent that time. Pure: times go in.

export const WINDOW_MS = 60_000;
const CAPACITY = 4_096; // a minute of 68 frames a second; a power of two
const MASK = CAPACITY - 1;
const MAX_DEVICE_MS = 3_600_000; // more is no delay: a wrong clock, or a value that the device kept back
const MAX_SCREEN_MS = 5_000; // what was not painted by then was not on a visible part of the page

/**
 * One leg of the way.
 * @typedef {{p50: number, p99: number, count: number}|null} Leg milliseconds; null: not measured
 */

/** The delays of the last minute, one sample a frame: its newest reading. */
export class Latency {
  constructor() {
    this.arrivedMs = new Float64Array(CAPACITY);
    this.toBridge = new Float64Array(CAPACITY); // NaN: not known
    this.toPage = new Float64Array(CAPACITY);
    this.toScreen = new Float64Array(CAPACITY);
    this.total = new Float64Array(CAPACITY);
    this.isShown = new Uint8Array(CAPACITY);
    this.isImpossible = new Uint8Array(CAPACITY);
    this.noted = 0; // samples ever
    this.painted = 0; // how many of them are on the screen, or never will be
    this.isSeen = true;
    this.liveSinceMs = -Infinity;
    this.scratch = new Float64Array(CAPACITY);
  }

  /**
   * A snapshot came: what the bridge had before is caught up on, not live.
   * @param {number} nowMs the server's time
   */
  begin(nowMs) {
    this.liveSinceMs = nowMs;
  }

  /** @param {boolean} isSeen a hidden page shows nothing, so nothing is measured */
  setSeen(isSeen) {
    this.isSeen = isSeen;
    this.painted = this.noted;
  }

  /**
   * A live frame came. All times are the server's, in ms.
   * @param {number} measuredMs when its newest reading was measured; NaN or -Infinity: no device told
   * @param {number} serverMs when the bridge sent it on
   * @param {number} arrivedMs
   * @param {boolean} isShown whether the open page draws it
   */
  note(measuredMs, serverMs, arrivedMs, isShown) {
    if (!this.isSeen || serverMs < this.liveSinceMs) return;
    const slot = this.noted++ & MASK;
    const age = serverMs - measuredMs;
    const isPossible = age >= 0 && age <= MAX_DEVICE_MS;
    this.arrivedMs[slot] = arrivedMs;
    this.toBridge[slot] = isPossible ? age : NaN;
    this.isImpossible[slot] = !isPossible && Number.isFinite(age) ? 1 : 0;
    this.toPage[slot] = Math.max(0, arrivedMs - serverMs); // not below: the estimate of the clock has its error
    this.toScreen[slot] = this.total[slot] = NaN;
    this.isShown[slot] = isShown ? 1 : 0;
  }

  /** Whether there is a frame that no paint has shown yet. */
  get isWaiting() {
    return this.painted < this.noted;
  }

  /**
   * What was painted can be seen now.
   * @param {number} upTo `noted` when it was painted
   * @param {number} nowMs the server's time
   */
  shown(upTo, nowMs) {
    for (let i = Math.max(this.painted, this.noted - CAPACITY); i < upTo; i++) {
      const slot = i & MASK;
      const wait = nowMs - this.arrivedMs[slot];
      if (!this.isShown[slot] || wait > MAX_SCREEN_MS) continue;
      this.toScreen[slot] = Math.max(0, wait);
      this.total[slot] = this.toBridge[slot] + this.toPage[slot] + this.toScreen[slot];
    }
    this.painted = Math.max(this.painted, upTo);
  }

  /**
   * How far behind the devices the screen is; from the bridge on where the devices do not tell.
   * @param {number} nowMs
   * @returns {{ms: number, isWhole: boolean}|null}
   */
  behind(nowMs) {
    const whole = this.#leg(this.total, nowMs);
    const leg = whole ?? this.#leg(this.toPage, nowMs);
    return leg && { ms: leg.p50, isWhole: whole !== null };
  }

  /**
   * All legs. It sorts, so it is for when somebody looks.
   * @param {number} nowMs
   * @returns {{toBridge: Leg, toPage: Leg, toScreen: Leg, total: Leg, frames: number, impossible: number}}
   */
  summary(nowMs) {
    let frames = 0;
    let impossible = 0;
    for (let i = this.#oldest(nowMs); i < this.noted; i++) {
      frames++;
      impossible += this.isImpossible[i & MASK];
    }
    const leg = (column) => this.#leg(column, nowMs);
    const [toBridge, toPage, toScreen, total] = [this.toBridge, this.toPage, this.toScreen, this.total].map(leg);
    return { toBridge, toPage, toScreen, total, frames, impossible };
  }

  /** The first sample of the window. */
  #oldest(nowMs) {
    let i = this.noted;
    const end = Math.max(0, this.noted - CAPACITY);
    while (i > end && this.arrivedMs[(i - 1) & MASK] > nowMs - WINDOW_MS) i--;
    return i;
  }

  #leg(column, nowMs) {
    let count = 0;
    for (let i = this.#oldest(nowMs); i < this.noted; i++) {
      const value = column[i & MASK];
      if (!Number.isNaN(value)) this.scratch[count++] = value;
    }
    if (count === 0) return null;
    const sorted = this.scratch.subarray(0, count).sort();
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), count };
  }
}

/**
 * The value that this share of all values does not exceed.
 * @param {ArrayLike<number>} sorted not empty
 * @param {number} share 0 to 1
 */
export function quantile(sorted, share) {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
