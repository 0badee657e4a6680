// The server's clock as seen from here: ages on the page are right even where the computer's own clock is wrong.

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
