// The span of time that a device page shows: a moving window, a pause, or a zoom.

import { el, setAttr, setText } from "../dom.js";

const MINUTES = [1, 5, 15];

export class TimeWindow {
  /**
   * @param {import("../clock.js").ServerClock} clock
   * @param {() => void} onChange
   */
  constructor(clock, onChange) {
    this.clock = clock;
    this.onChange = onChange;
    this.minutes = 5;
    this.isChosen = false;
    /** @type {{fromMs: number, toMs: number}|null} fixed while paused or zoomed */
    this.fixed = null;
    this.buttons = new Map(MINUTES.map((minutes) => [minutes, el("button", {
      type: "button",
      "data-minutes": String(minutes),
      text: `${minutes} min`,
      onclick: () => this.#choose(minutes),
    })]));
    this.pause = el("button.button.pause", { type: "button", "data-testid": "pause", onclick: () => this.#toggle() });
    this.element = el("div.time-window", {},
      el("div.segmented", { role: "group", "aria-label": "Time shown" }, ...this.buttons.values()), this.pause);
    this.#show();
  }

  /** @returns {{fromMs: number, toMs: number}} */
  span() {
    if (this.fixed) return this.fixed;
    const toMs = this.clock.now();
    return { fromMs: toMs - this.minutes * 60_000, toMs };
  }

  /** @returns {string} in words */
  label() {
    return this.minutes === 1 ? "minute" : `${this.minutes} minutes`;
  }

  /** @param {{fromMs: number, toMs: number}|null} range null: live again */
  zoom(range) {
    this.fixed = range;
    this.#show();
    this.onChange();
  }

  /**
   * Until somebody chooses: a minute while there is no more to show, so that a young bridge's charts are not empty.
   * @param {number} oldestMs the oldest sample there is
   */
  suggest(oldestMs) {
    if (this.isChosen || this.fixed) return;
    const minutes = this.clock.now() - oldestMs > 60_000 ? 5 : 1;
    if (minutes === this.minutes) return;
    this.minutes = minutes;
    this.#show();
    this.onChange();
  }

  #choose(minutes) {
    this.isChosen = true;
    this.minutes = minutes;
    if (this.fixed) this.fixed = { fromMs: this.fixed.toMs - minutes * 60_000, toMs: this.fixed.toMs };
    this.#show();
    this.onChange();
  }

  #toggle() {
    this.zoom(this.fixed ? null : this.span());
  }

  #show() {
    const span = this.fixed ? this.fixed.toMs - this.fixed.fromMs : this.minutes * 60_000;
    for (const [minutes, button] of this.buttons) {
      setAttr(button, "aria-pressed", String(minutes === this.minutes && Math.abs(span - minutes * 60_000) < 1));
    }
    setText(this.pause, this.fixed ? "Resume" : "Pause");
    setAttr(this.pause, "data-paused", String(this.fixed !== null));
  }
}
