// Where a device page's charts take their samples from: its memory, and the history for what lies further back.

import { fetchSpan } from "../archive.js";
import { gapLimit, typicalInterval } from "../decimate.js";
import { JoinedSamples } from "../joined.js";
import { isWanted } from "../metrics.js";
import { Past } from "../past.js";

export class DevicePast {
  /**
   * @param {import("../main.js").Context} context
   * @param {import("./time_window.js").TimeWindow} timeWindow
   * @param {() => void} onChange something was loaded, or could not be
   */
  constructor(context, timeWindow, onChange) {
    this.context = context;
    this.window = timeWindow;
    this.onChange = onChange;
    this.version = 0;
    this.columns = 0; // of the widest chart: a sparkline of the same series is part of the same question
    this.spanAsked = false;
    this.past = new Past({ now: () => context.clock.now(), onChange: () => this.#changed() });
  }

  /** @returns {boolean} whether the server has a history */
  get isThere() {
    // A moment of the past that is being shown has come out of one.
    return !this.past.isOff && (this.context.isPast || this.context.store.recording.state !== "off");
  }

  get isLoading() {
    return this.isThere && this.past.isLoading;
  }

  /** @returns {Error|null} why what is on the screen is not complete */
  get error() {
    return this.isThere ? this.past.error : null;
  }

  /**
   * What is to be drawn; called with every paint of what can be seen.
   * @param {import("../model.js").Series[]} series
   * @param {number} columns pixels of the plot
   * @returns {import("../past.js").View & {needsPast: boolean}}
   */
  look(series, columns) {
    const view = { ...this.window.span(), columns };
    const oldestMs = this.context.store.history.oldestMs();
    // What follows the present and lies within memory is drawn from memory, as fast as it comes.
    view.needsPast = this.isThere && (this.window.fixed !== null || oldestMs === null || oldestMs > view.fromMs);
    this.columns = Math.max(this.columns, columns);
    if (view.needsPast) this.past.want(series.map((one) => one.id), { ...view, columns: this.columns });
    return view;
  }

  /**
   * @param {import("../model.js").Series} series
   * @param {import("../past.js").View & {needsPast: boolean}} view
   * @returns {{samples: JoinedSamples, gapMs: number, mergedMs: (fromMs: number, toMs: number) => number, isWhole: boolean}}
   *   isWhole: nothing is still to come of what is shown
   */
  samples(series, view) {
    const { history } = this.context.store;
    const ring = history.get(series.id);
    const holds = isWanted(series); // told when it changes: its silence is no hole
    const answer = view.needsPast ? this.past.get(series.id, view) : null;
    const samples = new JoinedSamples(answer, ring, { holds, mergedMs: (from, to) => history.mergedMs(from, to) });
    const gapMs = ring && !holds ? gapLimit(typicalInterval(ring)) : Infinity;
    return { samples, gapMs, mergedMs: (from, to) => samples.mergedMs(from, to), isWhole: !view.needsPast || answer !== null };
  }

  /** Find out, once, how far back the history goes. */
  async findFirst() {
    if (this.spanAsked || !this.isThere) return;
    this.spanAsked = true;
    try {
      this.window.setFirst((await fetchSpan()).firstMs);
      this.onChange();
    } catch {
      this.spanAsked = false; // the charts tell what is wrong
    }
  }

  /** Ask again what could not be answered. */
  retry() {
    this.past.refresh();
  }

  stop() {
    this.past.stop();
  }

  #changed() {
    this.version++;
    this.onChange();
  }
}
