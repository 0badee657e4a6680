// What a page shows of the history: asks for what is missing, one question at a time, takes back what nobody wants any
// more, and keeps the latest answers.

import { fetchHistory } from "./archive.js";

// Beyond each edge of the picture, as a share of it: lines come in from outside, and a small step needs no question.
const MARGIN = 0.25;
const MAX_SERIES = 50; // in one question
const MAX_KEPT_POINTS = 1_000_000; // 16 MB
const RETRY_MS = 10_000; // after an error that may pass
const WANTED_MS = 3_000; // who has not asked for so long has gone from the screen
const MAX_KEPT_ANSWERS = 6; // of one series: the way back from a few zooms
const COLUMN_STEP = 100; // panels of about one width ask for the same
const WIDER = 1.25; // an answer this much coarser than the picture is still good
const YOUNGEST_MS = 15_000;
const OLDEST_MS = 120_000;
const SHARE = 200; // what moves a line by less than so small a part of the picture can wait

/**
 * @typedef {object} View
 * @property {number} fromMs
 * @property {number} toMs
 * @property {number} columns pixels of the plot
 *
 * @typedef {import("./archive.js").ArchiveSeries & {fromMs: number, toMs: number, askedWidthMs: number,
 *   askedAt: number, knownMs: number}} Answer
 *   knownMs: up to when it says all there is; askedAt: by `performance.now()`
 */

export class Past {
  /**
   * @param {{now: () => number, onChange: () => void, fetch?: typeof fetchHistory, youngestMs?: number}} options
   *   now: the clock of the page, server's or replay's
   */
  constructor({ now, onChange, fetch = fetchHistory, youngestMs = YOUNGEST_MS }) {
    this.now = now;
    this.onChange = onChange;
    this.fetch = fetch;
    this.youngestMs = youngestMs;
    /** @type {Map<number, Answer[]>} by series, the latest last */
    this.answers = new Map();
    /** @type {Map<number, {at: number, columns: number}>} when each series was last wanted, and how wide its plot is */
    this.wanted = new Map();
    /** @type {View|null} */
    this.view = null;
    this.underWay = null;
    /** @type {import("./archive.js").ArchiveError|null} */
    this.error = null;
    this.failedAt = -Infinity;
    this.askedView = null;
    /** @type {Set<number>} series that the history does not know: one of them must not cost all others theirs */
    this.unknown = new Set();
    this.isOneByOne = false;
    /** There is no history on this server: asking again is of no use. */
    this.isOff = false;
    this.timer = 0;
  }

  /** Whether an answer is awaited. */
  get isLoading() {
    return this.underWay !== null;
  }

  /**
   * Say what is on the screen; called with every paint. Asks when that is not there in this detail.
   * @param {Iterable<number>} seriesIds
   * @param {View} view
   */
  want(seriesIds, view) {
    if (this.isOff || !(view.toMs > view.fromMs)) return;
    const now = performance.now();
    for (const id of seriesIds) if (!this.unknown.has(id)) this.wanted.set(id, { at: now, columns: view.columns });
    this.view = view;
    // Panels are painted one after the other: together they are one question.
    this.timer ||= setTimeout(() => this.#ask(), 0);
  }

  /**
   * The best that is known of a series for what is on the screen.
   * @param {number} seriesId
   * @param {View} view
   * @returns {Answer|null}
   */
  get(seriesId, view) {
    const answers = this.answers.get(seriesId) ?? [];
    const covering = answers.filter((one) => one.fromMs <= view.fromMs && one.toMs >= view.toMs);
    const among = covering.length ? covering : answers.filter((one) => one.fromMs < view.toMs && one.toMs > view.fromMs);
    // The finest that is not finer than of use; of those that do not cover the picture, the latest.
    if (!covering.length) return among.at(-1) ?? null;
    const fine = covering.filter((one) => one.askedWidthMs <= widthOf(view) * WIDER);
    return (fine.length ? fine : covering.toSorted((a, b) => b.askedWidthMs - a.askedWidthMs)).at(-1) ?? null;
  }

  /** Ask again, now; also for what is known. */
  refresh() {
    this.error = null;
    this.failedAt = -Infinity;
    this.unknown.clear();
    for (const answers of this.answers.values()) for (const one of answers) one.askedAt = -Infinity;
    if (this.view) this.want([], this.view);
    this.onChange();
  }

  /** Nobody looks any more. */
  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.underWay?.abort.abort();
    this.underWay = null;
    this.answers.clear();
    this.wanted.clear();
  }

  #ask() {
    this.timer = 0;
    const now = performance.now();
    let columns = this.view.columns;
    for (const [id, one] of this.wanted) {
      if (now - one.at > WANTED_MS) this.wanted.delete(id);
      else columns = Math.max(columns, one.columns);
    }
    // The widest plot counts for all: otherwise two panels of one page would ask past each other for ever.
    const view = { ...this.view, columns: Math.ceil(columns / COLUMN_STEP) * COLUMN_STEP };
    const missing = [...this.wanted.keys()].filter((id) => !(this.answers.get(id) ?? []).some((one) => this.#isGood(one, view)));
    if (!missing.length) {
      this.isOneByOne = false;
      return;
    }
    if (this.underWay && this.#isGood(this.underWay.question, view)) return; // what it leaves out comes next
    if (!this.underWay && this.error && now - this.failedAt < RETRY_MS && this.#isAsFailed(view)) return;
    this.underWay?.abort.abort();
    void this.#load(missing.slice(0, this.isOneByOne ? 1 : MAX_SERIES), view);
  }

  async #load(ids, view) {
    const span = view.toMs - view.fromMs;
    const from = Math.floor(view.fromMs - span * MARGIN);
    const to = Math.ceil(view.toMs + span * MARGIN);
    const columns = view.columns * (1 + 2 * MARGIN);
    const question = { fromMs: from, toMs: to, askedWidthMs: (to - from) / columns, askedAt: performance.now(), knownMs: this.now() };
    const underWay = { question, abort: new AbortController() };
    this.underWay = underWay;
    this.askedView = view;
    this.onChange();
    try {
      // Two points for each pixel, and two more: the span may begin within a pixel.
      const told = await this.fetch({ seriesIds: ids, from, to, points: 2 * columns + 2, signal: underWay.abort.signal });
      if (this.underWay !== underWay) return; // superseded: what it says is of a picture that is gone
      this.#keep(ids, told.series, question);
      this.error = null;
    } catch (error) {
      if (this.underWay !== underWay) return;
      if (error.code === "not_found") return this.#findUnknown(ids);
      this.isOff = error.code === "no_history";
      this.error = error;
      this.failedAt = performance.now();
    }
    this.underWay = null;
    this.onChange();
  }

  /** One of these is not there; which one is found by asking for each. */
  #findUnknown(ids) {
    this.underWay = null;
    this.isOneByOne = ids.length > 1;
    if (ids.length === 1) {
      this.unknown.add(ids[0]);
      this.wanted.delete(ids[0]);
    }
    this.timer ||= setTimeout(() => this.#ask(), 0);
    this.onChange();
  }

  #keep(ids, told, question) {
    for (const id of ids) {
      // A series that the answer leaves out has nothing there; asking again would tell the same.
      const one = told.find((candidate) => candidate.seriesId === id) ?? { seriesId: id, widthMs: 0, ...NOTHING };
      const answers = (this.answers.get(id) ?? []).filter((other) => !covers(question, other)).slice(1 - MAX_KEPT_ANSWERS);
      answers.push({ ...one, ...question, knownMs: Math.min(question.toMs, question.knownMs) });
      this.answers.delete(id); // to the end: the oldest goes first
      this.answers.set(id, answers);
    }
    let points = 0;
    for (const answers of this.answers.values()) for (const one of answers) points += one.times.length;
    for (const [id, answers] of this.answers) {
      while (points > MAX_KEPT_POINTS && answers.length > (this.wanted.has(id) ? 1 : 0)) points -= answers.shift().times.length;
      if (!answers.length) this.answers.delete(id);
    }
  }

  /** Whether an answer, or a question under way, is as much as the picture can show, and young enough. */
  #isGood(one, view) {
    if (!one || one.fromMs > view.fromMs || one.toMs < view.toMs) return false;
    if (one.widthMs !== 0 && one.askedWidthMs > widthOf(view) * WIDER) return false;
    const patience = Math.min(OLDEST_MS, Math.max(this.youngestMs, (view.toMs - view.fromMs) / SHARE));
    return performance.now() - one.askedAt < patience;
  }

  #isAsFailed({ fromMs, toMs }) {
    const slack = (toMs - fromMs) * MARGIN;
    return Math.abs(fromMs - this.askedView.fromMs) < slack && Math.abs(toMs - this.askedView.toMs) < slack;
  }
}

const NOTHING = Object.freeze({ times: new Float64Array(0), values: new Float64Array(0), texts: [] });
const widthOf = (view) => (view.toMs - view.fromMs) / view.columns;

/** Whether an answer makes another one useless: of about this span, not finer. */
const covers = (one, other) =>
  one.fromMs <= other.fromMs && one.toMs >= other.toMs && one.askedWidthMs <= other.askedWidthMs * WIDER;
