// One moment in all charts of a page: a vertical line, and the values that every series had then.

import { el, setText } from "../dom.js";
import { formatTime } from "../format.js";

const KEY_PX = 4; // a step of the arrow keys
const KEY_FAST = 10; // and of a key that is held for a while

export class ExploreCursor {
  /**
   * @param {HTMLElement} stage what the line runs through, from top to bottom
   * @param {() => void} onMove
   */
  constructor(stage, onMove) {
    this.stage = stage;
    this.onMove = onMove;
    /** @type {number|null} */
    this.timeMs = null;
    this.scale = null;
    this.frame = 0;
    this.time = el("span.cursor-time");
    this.line = el("div.cursor", { hidden: true, "aria-hidden": "true", "data-testid": "cursor" }, this.time);
    stage.append(this.line);
    stage.addEventListener("pointermove", (event) => this.#point(event));
    stage.addEventListener("pointerdown", (event) => this.#point(event));
    stage.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && document.activeElement !== stage && this.move(null));
    stage.addEventListener("blur", () => this.move(null));
  }

  /**
   * Where times lie.
   * @param {{fromMs: number, toMs: number, left: number, width: number}} scale pixels from the stage's left edge
   */
  place(scale) {
    this.scale = scale;
    if (this.timeMs !== null && (this.timeMs < scale.fromMs || this.timeMs > scale.toMs)) this.timeMs = null;
    this.#show();
  }

  /** @param {number|null} timeMs null: no line */
  move(timeMs) {
    if (timeMs === this.timeMs) return;
    this.timeMs = timeMs;
    // A pointer tells of more moves than a screen shows.
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.#show();
      this.onMove();
    });
  }

  /** @param {number} direction -1 or 1; @param {boolean} isFast */
  step(direction, isFast) {
    if (!this.scale) return;
    const { fromMs, toMs, width } = this.scale;
    const by = ((toMs - fromMs) / width) * KEY_PX * (isFast ? KEY_FAST : 1) * direction;
    const at = this.timeMs ?? (direction > 0 ? fromMs : toMs);
    this.move(Math.min(toMs, Math.max(fromMs, at + by)));
  }

  #point(event) {
    if (!this.scale) return;
    const { fromMs, toMs, left, width } = this.scale;
    const share = (event.clientX - this.stage.getBoundingClientRect().left - left) / width;
    this.move(share < 0 || share > 1 ? null : fromMs + (toMs - fromMs) * share);
  }

  #show() {
    const isShown = this.timeMs !== null && this.scale !== null;
    this.line.hidden = !isShown;
    if (!isShown) return;
    const { fromMs, toMs, left, width } = this.scale;
    const share = (this.timeMs - fromMs) / (toMs - fromMs);
    this.line.style.transform = `translateX(${left + share * width}px)`;
    this.line.toggleAttribute("data-right", share > 0.5);
    setText(this.time, formatTime(this.timeMs));
  }
}

/**
 * The reading that a line shows at a moment: the nearer of its two neighbours; of what holds, the one before.
 * @param {import("../joined.js").JoinedSamples} samples
 * @param {number} timeMs
 * @param {{gapMs: number, holds: boolean, edgeMs: number}} how edgeMs: how far beyond the last reading it still counts
 * @returns {{timeMs: number, value: number}|null} null: in a gap, or where nothing is
 */
export function readingAt(samples, timeMs, { gapMs, holds, edgeMs }) {
  const next = samples.lowerBound(timeMs);
  const before = next < samples.length && samples.time(next) === timeMs ? next : next - 1;
  const at = (i) => ({ timeMs: samples.time(i), value: samples.value(i) });
  if (before < 0) return next < samples.length && samples.time(next) - timeMs <= edgeMs && !Number.isNaN(samples.value(next)) ? at(next) : null;
  if (Number.isNaN(samples.value(before))) return null;
  if (before === next) return at(before);
  if (next >= samples.length) return timeMs - samples.time(before) <= edgeMs || (holds && gapMs === Infinity) ? at(before) : null;
  const [earlier, later] = [samples.time(before), samples.time(next)];
  const silent = later - earlier - samples.mergedMs(earlier, later);
  if (silent > gapMs || (Number.isNaN(samples.value(next)) && !holds && timeMs - earlier > edgeMs)) return timeMs - earlier <= edgeMs ? at(before) : null;
  return !holds && later - timeMs < timeMs - earlier && !Number.isNaN(samples.value(next)) ? at(next) : at(before);
}
