// The span of time that a device page shows: a moving window, a pause, a zoom, or any time of the past.

import { el, setAttr, setText } from "../dom.js";
import { DAY, formatSpan, isAtEnd, lengthLabel, moved } from "../spans.js";

const MINUTE = 60_000;
const SHORT = [[1, "1 min"], [5, "5 min"], [15, "15 min"]];
/** With a history; `null` is all of it. */
const LONG = [[60, "1 h"], [360, "6 h"], [1_440, "24 h"], [10_080, "7 d"], [43_200, "30 d"], [null, "All"]];
const MAX_BACK = 20; // zooms that a double click takes back, one after the other
// Until it is known how old the history is, "all" is this.
const ALL_MS = 30 * DAY;

export class TimeWindow {
  /**
   * @param {{now: () => number}} clock
   * @param {() => void} onChange
   * @param {{onAll?: () => void}} [options] onAll: somebody wants all; find out how old it is, and say it with `setFirst`
   */
  constructor(clock, onChange, { onAll = () => {} } = {}) {
    this.clock = clock;
    this.onChange = onChange;
    this.onAll = onAll;
    /** @type {number|null} null: all there is */
    this.minutes = 5;
    this.firstMs = null;
    this.isChosen = false;
    /** @type {{fromMs: number, toMs: number}|null} fixed while paused, zoomed or in the past */
    this.fixed = null;
    /** @type {({fromMs: number, toMs: number}|null)[]} what was shown before each zoom */
    this.before = [];
    this.buttons = new Map([...SHORT, ...LONG].map(([minutes, text]) => [minutes, this.#button(minutes, text)]));
    this.earlier = el("button.button.nudge", { type: "button", "aria-label": "Earlier", title: "Earlier", "data-testid": "earlier", text: "‹", onclick: () => this.pan(-1) });
    this.later = el("button.button.nudge", { type: "button", "aria-label": "Later", title: "Later", "data-testid": "later", text: "›", onclick: () => this.pan(1) });
    this.steps = el("div.nudges", {}, this.earlier, this.later);
    this.pause = el("button.button.pause", { type: "button", "data-testid": "pause", onclick: () => this.#toggle() });
    this.range = el("p.window-range", { "data-testid": "range", role: "status" });
    this.element = el("div.time-window", {},
      this.range, el("div.segmented", { role: "group", "aria-label": "Time shown" }, ...this.buttons.values()), this.steps, this.pause);
    this.setHistory(false);
  }

  /** @returns {{fromMs: number, toMs: number}} */
  span() {
    if (this.fixed) return this.fixed;
    const toMs = this.clock.now();
    return { fromMs: toMs - this.#lengthMs(), toMs };
  }

  /** @returns {string} in words, behind "the last" */
  label() {
    return this.minutes === null ? "years" : lengthLabel(this.minutes * MINUTE);
  }

  /** @param {boolean} hasHistory whether there is more than the page keeps in memory */
  setHistory(hasHistory) {
    if (this.hasHistory === hasHistory) return;
    this.hasHistory = hasHistory;
    for (const [minutes] of LONG) this.buttons.get(minutes).hidden = !hasHistory;
    this.steps.hidden = !hasHistory;
    if (!hasHistory && (this.minutes === null || this.minutes > 15)) this.minutes = 15;
    this.#show();
  }

  /** @param {number|null} firstMs the first reading there is */
  setFirst(firstMs) {
    this.firstMs = firstMs;
    if (this.minutes === null) this.onChange();
  }

  /** @param {{fromMs: number, toMs: number}|null} range null: what was shown before */
  zoom(range) {
    if (range) {
      this.before.push(this.fixed);
      this.before = this.before.slice(-MAX_BACK);
    }
    this.#fix(range ?? this.before.pop() ?? null);
  }

  /** @param {number} steps of half of what is shown; negative: into the past */
  pan(steps) {
    const to = moved(this.span(), steps);
    this.#fix(isAtEnd(to, this.clock.now()) ? null : to);
  }

  /**
   * Until somebody chooses: a minute while there is no more to show, so that a young bridge's charts are not empty.
   * @param {number} oldestMs the oldest sample there is
   */
  suggest(oldestMs) {
    if (this.isChosen || this.fixed) return;
    const minutes = this.clock.now() - oldestMs > MINUTE ? 5 : 1;
    if (minutes === this.minutes) return;
    this.minutes = minutes;
    this.#show();
    this.onChange();
  }

  #lengthMs() {
    if (this.minutes !== null) return this.minutes * MINUTE;
    return this.firstMs === null ? ALL_MS : Math.max(MINUTE, (this.clock.now() - this.firstMs) * 1.02);
  }

  #button(minutes, text) {
    return el("button", { type: "button", "data-minutes": minutes === null ? "all" : String(minutes), text, onclick: () => this.#choose(minutes) });
  }

  #choose(minutes) {
    this.isChosen = true;
    this.minutes = minutes;
    if (minutes === null) this.onAll();
    // A pause stays one; but "all" of what ended yesterday nobody wants.
    const fixed = this.fixed && minutes !== null ? { fromMs: this.fixed.toMs - this.#lengthMs(), toMs: this.fixed.toMs } : null;
    this.#fix(fixed);
  }

  #toggle() {
    if (this.fixed) this.before = [];
    this.#fix(this.fixed ? null : this.span());
  }

  #fix(range) {
    this.fixed = range;
    if (!range) this.before = [];
    this.#show();
    this.onChange();
  }

  #show() {
    const length = this.fixed ? this.fixed.toMs - this.fixed.fromMs : this.#lengthMs();
    for (const [minutes, button] of this.buttons) {
      const isThis = minutes === null ? this.minutes === null && !this.fixed : minutes === this.minutes && Math.abs(length - minutes * MINUTE) < 1;
      setAttr(button, "aria-pressed", String(isThis));
    }
    setText(this.pause, this.fixed ? "Resume" : "Pause");
    setAttr(this.pause, "data-paused", String(this.fixed !== null));
    setText(this.range, this.fixed ? formatSpan(this.fixed.fromMs, this.fixed.toMs) : "");
    this.range.hidden = !this.fixed;
    this.later.disabled = !this.fixed;
  }
}
