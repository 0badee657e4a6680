// A moment of the past, and its playing: the replay's subscription, and the store that it fills. What is shown of it is
// shown by the same views as now, with this store and this clock.

import { ReplayClock } from "./clock.js";
import { Store } from "./store.js";

/** Speeds that people choose from: seconds of then in a second of now. */
export const SPEEDS = Object.freeze([0.25, 1, 4, 10, 60, 300, 1000]);

const ASK_APART_MS = 100; // ten moments a second are as smooth as a drag needs, and far from the limit of messages
const TICK_S = 0.1; // the server plays in ticks; of too many readings in one it leaves some out

export class Replay {
  /**
   * @param {import("./connection.js").Connection} connection
   * @param {Store} live the store of now: whose session it is, and whether there is a line
   */
  constructor(connection, live) {
    this.connection = connection;
    this.live = live;
    this.store = new Store();
    this.clock = new ReplayClock();
    /** Whether a moment is shown, or on its way, in place of now. */
    this.isOn = false;
    /** @type {string|null} the one device that is replayed; null: all */
    this.deviceId = null;
    this.speed = 1;
    this.isPaused = true;
    this.atEnd = false; // it has caught up with the present
    /** @type {number|null} the moment asked for, while the server has not shown it yet */
    this.wantedMs = null;
    this.askedMs = NaN; // the moment that the latest question named
    this.isAsked = false; // a question is under way; one at a time, so that a drag does not flood the server
    this.problem = ""; // why there is nothing to show, in words
    this.timer = 0;
    this.listeners = new Set();
    this.stop = () => {};
    live.on("connection", () => this.#lineChanged());
  }

  /**
   * @param {() => void} listener called when what can be told of the replay changes; not as its time passes
   * @returns {() => void} stops listening
   */
  on(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** @returns {number} the moment that is shown, or that was asked for */
  get momentMs() {
    return this.wantedMs ?? this.clock.now();
  }

  /** Whether what is shown is not yet what was asked for. */
  get isWaiting() {
    return this.isOn && this.wantedMs !== null;
  }

  /**
   * Leave now, and stand still at a moment.
   * @param {number} atMs
   * @param {string|null} deviceId the one device to replay; null: all
   */
  enter(atMs, deviceId) {
    this.isOn = true;
    this.isPaused = true;
    this.deviceId = deviceId;
    this.#subscribe(atMs);
  }

  /** Back to now. */
  leave() {
    if (!this.isOn) return;
    this.isOn = false;
    this.wantedMs = null;
    this.isAsked = false;
    this.stop();
    this.store.forget();
    this.#changed();
  }

  /** @param {string|null} deviceId the one device to replay from here on; null: all */
  narrow(deviceId) {
    if (!this.isOn || deviceId === this.deviceId) return;
    this.deviceId = deviceId;
    this.#subscribe(this.momentMs);
  }

  /** @param {number} atMs */
  seek(atMs) {
    this.wantedMs = Math.round(atMs);
    this.clock.hold();
    if (this.problem) this.#subscribe(this.wantedMs);
    else this.#ask();
    this.#changed();
  }

  /** Once more, after it was refused. */
  retry() {
    if (this.isOn) this.#subscribe(this.momentMs);
  }

  /** @param {boolean} isPaused */
  setPaused(isPaused) {
    if (isPaused === this.isPaused) return;
    this.isPaused = isPaused;
    this.atEnd = false;
    if (isPaused) this.clock.hold();
    this.connection.changeReplay({ paused: isPaused });
    this.#changed();
  }

  /** @param {number} speed one of SPEEDS */
  setSpeed(speed) {
    this.speed = speed;
    if (this.isOn) this.connection.changeReplay({ speed });
    this.#changed();
  }

  /** @param {1|-1} direction to the next time at which something was measured, or the one before */
  step(direction) {
    this.isPaused = true;
    this.atEnd = false;
    this.clock.hold();
    this.connection.changeReplay({ step: direction });
    this.#changed();
  }

  // ----- what the connection asks and tells -----------------------------------------------------------------

  /** @returns {object} what a subscription has to say, also after a break: the moment that was shown last */
  request() {
    this.wantedMs = this.askedMs = Math.round(this.momentMs);
    this.isAsked = true;
    const request = { at_ms: this.askedMs, speed: this.speed, paused: this.isPaused };
    return this.deviceId === null ? request : { ...request, devices: [this.deviceId] };
  }

  /** @param {object} message the whole state as of a moment */
  snapshot(message) {
    this.isAsked = false;
    this.problem = "";
    this.#share();
    this.clock.jump(message.at_ms, message.speed, true);
    this.store.rewind(message);
    if (this.askedMs === this.wantedMs) this.wantedMs = null;
    this.told(message);
    this.#ask();
    this.#changed();
  }

  /** @param {import("./frames.js").Frame} frame */
  readings(frame) {
    if (this.isAsked) return; // of where we were: a jump is under way
    this.store.coarseMs = this.speed * TICK_S * 1_000;
    this.store.replayed(frame);
  }

  /** @param {{at_ms: number, speed: number, paused: boolean, at_end?: boolean}} message where the replay is */
  told({ at_ms, speed, paused, at_end = false }) {
    if (this.isAsked) return; // of where we were
    // Who pressed "pause" sees no more of what was on its way; who pressed "play" waits for the server to begin.
    this.clock.told(at_ms, speed, paused || this.isPaused || this.isWaiting);
    const isNews = this.isPaused || at_end !== this.atEnd;
    this.atEnd = at_end;
    if (at_end) this.isPaused = true;
    if (isNews) this.#changed();
  }

  /** @param {{code: string, message: string}} error the server cannot show it */
  refused(error) {
    this.isAsked = false;
    if (error.code === "rate_limited") return this.#ask();
    this.problem = error.message;
    this.store.forget();
    return this.#changed();
  }

  // ----- inner workings -------------------------------------------------------------------------------------

  #subscribe(atMs) {
    this.stop();
    this.wantedMs = this.askedMs = Math.round(atMs);
    this.isAsked = true;
    this.atEnd = false;
    this.problem = "";
    this.clock.jump(this.wantedMs, this.speed, true);
    this.#share();
    this.store.forget();
    this.stop = this.connection.replay(this);
    this.#changed();
  }

  #ask() {
    if (this.isAsked || this.timer || this.wantedMs === null || this.problem) return;
    // While a pointer moves, the next question waits for the answer to this one, and a little.
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (this.isOn) this.#ask();
    }, ASK_APART_MS);
    this.askedMs = this.wantedMs;
    this.isAsked = this.connection.changeReplay({ at_ms: this.askedMs });
  }

  /** While there is no line, time stands still; the connection subscribes anew by itself when it is back. */
  #lineChanged() {
    this.#share();
    if (this.isOn && this.live.connection.state !== "live" && !this.problem) {
      this.wantedMs ??= Math.round(this.clock.now());
      this.isAsked = true;
      this.clock.hold();
    }
    this.store.emit("connection");
    if (this.isOn) this.#changed();
  }

  /** Who we are, and whether there is a line and a history, is the same then as now. */
  #share() {
    const { session, connection, recording } = this.live;
    Object.assign(this.store, { session, connection, recording });
  }

  #changed() {
    for (const listener of this.listeners) listener();
  }
}
