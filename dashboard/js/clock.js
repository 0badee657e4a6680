// The server's clock as seen from here: ages on the page are right even where the computer's own clock is wrong.
// And the clock of a moment of the past.

const SAMPLES = 8; // at one ping in 10 s: a drifting clock is followed within a minute or two
const RESOLUTION_MS = 1; // our clock counts whole milliseconds

/** Estimates how far the server's clock is ahead of ours, from the answers to our pings. */
export class ServerClock {
  /** @param {() => number} localNow milliseconds since 1970, our own opinion */
  constructor(localNow = Date.now) {
    this.localNow = localNow;
    this.offsetMs = 0;
    /** @type {number|null} round trip of the latest ping */
    this.latencyMs = null;
    /** @type {number|null} how wrong `now()` can be, either way; null while there is only a first guess */
    this.uncertaintyMs = null;
    /** @type {{offset: number, rtt: number}[]} */
    this.samples = [];
  }

  /** @returns {number} the server's time, in milliseconds since 1970 */
  now() {
    return this.localNow() + this.offsetMs;
  }

  /**
   * A first guess, from a message that carried the server's time.
   * @param {number} serverMs
   */
  reset(serverMs) {
    this.samples = [];
    this.uncertaintyMs = null;
    this.offsetMs = serverMs - this.localNow();
  }

  /**
   * The answer to a ping.
   * @param {number} sentMs our time when the ping was sent
   * @param {number} serverMs the server's time in the answer
   */
  pong(sentMs, serverMs) {
    const rtt = Math.max(0, this.localNow() - sentMs);
    const sample = { offset: serverMs + rtt / 2 - this.localNow(), rtt };
    // The true offset lies within half a round trip of each estimate. When two cannot both be right, a clock was set.
    const clash = this.samples.some((s) => Math.abs(s.offset - sample.offset) > (s.rtt + rtt) / 2 + 50);
    if (clash) this.samples = [];
    this.samples.push(sample);
    if (this.samples.length > SAMPLES) this.samples.shift();
    const best = this.samples.reduce((least, s) => (s.rtt <= least.rtt ? s : least));
    this.offsetMs = best.offset;
    this.uncertaintyMs = best.rtt / 2 + RESOLUTION_MS;
    this.latencyMs = rtt;
  }
}

// The server tells where a replay is at least four times a second. When it does not, the past stands still for us too.
const MAX_AHEAD_MS = 1_000;

/** The time of a moment of the past that is being played: what "now" is for everything that shows it. */
export class ReplayClock {
  /** @param {() => number} localNow milliseconds that only ever grow */
  constructor(localNow = () => performance.now()) {
    this.localNow = localNow;
    this.atMs = NaN;
    this.speed = 1;
    this.isPaused = true;
    this.toldAt = 0;
    this.leastMs = -Infinity;
  }

  /** @returns {number} the moment shown, in milliseconds since 1970; NaN before there is one */
  now() {
    if (this.isPaused) return this.atMs;
    const passed = Math.min(this.localNow() - this.toldAt, MAX_AHEAD_MS);
    return Math.max(this.leastMs, this.atMs + passed * this.speed);
  }

  /** Stand still here. */
  hold() {
    this.jump(this.now(), this.speed, true);
  }

  /**
   * Be somewhere else.
   * @param {number} atMs
   * @param {number} speed
   * @param {boolean} isPaused
   */
  jump(atMs, speed, isPaused) {
    Object.assign(this, { atMs, speed, isPaused, toldAt: this.localNow(), leastMs: -Infinity });
  }

  /**
   * The server says where it is. What plays does not go back for the sake of a message that took its time.
   * @param {number} atMs
   * @param {number} speed
   * @param {boolean} isPaused
   */
  told(atMs, speed, isPaused) {
    const before = this.now();
    this.jump(atMs, speed, isPaused);
    if (before > atMs && before - atMs <= MAX_AHEAD_MS * speed) this.leastMs = before;
  }
}
