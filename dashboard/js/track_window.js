// Which stretch of time the time bar covers, and the ticks on it. Pure: times go in, times come out.

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** The stretches that people choose from; Infinity: all there is. */
export const SPANS = Object.freeze([
  { ms: HOUR_MS, label: "1 hour" },
  { ms: 6 * HOUR_MS, label: "6 hours" },
  { ms: DAY_MS, label: "1 day" },
  { ms: 7 * DAY_MS, label: "1 week" },
  { ms: 30 * DAY_MS, label: "30 days" },
  { ms: Infinity, label: "All" },
]);

const LEAST_MS = MINUTE_MS; // below, a pixel is less than the time between two readings
const MOST_MS = 50 * 365 * DAY_MS;

/** The stretch of time that a track covers: it ends now and moves along, or it stays where it was put. */
export class TrackWindow {
  constructor() {
    this.spanMs = HOUR_MS;
    /** @type {number|null} null: now */
    this.endMs = null;
    /** @type {number|null} when the history begins; null: not known */
    this.firstMs = null;
  }

  /**
   * @param {number} nowMs
   * @returns {{fromMs: number, toMs: number}}
   */
  range(nowMs) {
    const toMs = this.endMs ?? nowMs;
    return { fromMs: toMs - this.#span(nowMs), toMs };
  }

  /**
   * @param {number} spanMs one of SPANS
   * @param {number} aroundMs the moment that is to stay in view
   * @param {number} nowMs
   */
  choose(spanMs, aroundMs, nowMs) {
    this.spanMs = spanMs;
    this.endMs = null;
    this.reveal(aroundMs, nowMs);
  }

  /**
   * @param {number} factor above 1: to see more
   * @param {number} aroundMs what stays where it is
   * @param {number} nowMs
   */
  zoom(factor, aroundMs, nowMs) {
    const { fromMs, toMs } = this.range(nowMs);
    const most = this.firstMs === null ? MOST_MS : Math.max(HOUR_MS, nowMs - this.firstMs);
    const span = Math.min(most, Math.max(LEAST_MS, (toMs - fromMs) * factor));
    const share = (aroundMs - fromMs) / (toMs - fromMs);
    this.spanMs = span;
    this.#end(aroundMs + (1 - share) * span, nowMs);
  }

  /**
   * @param {number} byMs above 0: to later
   * @param {number} nowMs
   */
  pan(byMs, nowMs) {
    this.spanMs = this.#span(nowMs);
    this.#end(this.range(nowMs).toMs + byMs, nowMs);
  }

  /**
   * Move as little as it takes to have a moment in view, with some of what comes after it.
   * @param {number} ms
   * @param {number} nowMs
   * @returns {boolean} whether it moved
   */
  reveal(ms, nowMs) {
    const { fromMs, toMs } = this.range(nowMs);
    if (ms >= fromMs && ms <= toMs) return false;
    this.#end(ms + (toMs - fromMs) / 2, nowMs);
    return true;
  }

  #span(nowMs) {
    if (this.spanMs !== Infinity) return this.spanMs;
    return this.firstMs === null ? 30 * DAY_MS : Math.max(HOUR_MS, nowMs - this.firstMs);
  }

  #end(endMs, nowMs) {
    const span = this.#span(nowMs);
    const least = this.firstMs === null ? -Infinity : Math.min(nowMs, this.firstMs + span / 2);
    this.endMs = Math.max(least, endMs);
    if (this.endMs >= nowMs - span / 500) this.endMs = null; // so near to now that it is meant
  }
}

const SECOND_MS = 1_000;
const FIXED_STEPS = [1, 2, 5, 10, 15, 30].flatMap((n) => [n * SECOND_MS, n * MINUTE_MS]).concat([1, 2, 3, 6, 12].map((n) => n * HOUR_MS)).sort((a, b) => a - b);
const DAY_STEPS = [1, 2, 7, 14];
const MONTH_STEPS = [1, 3, 6, 12, 60, 120, 300, 1200];
const MONTH_MS = 30.4 * DAY_MS;

/**
 * Ticks at round times of the local clock.
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} most how many there is room for
 * @returns {{ms: number, unit: "second"|"minute"|"day"|"month"|"year"}[]} unit: the smallest that its label has to tell
 */
export function ticks(fromMs, toMs, most) {
  const least = (toMs - fromMs) / Math.max(1, most);
  const step = FIXED_STEPS.find((one) => one >= least);
  const start = new Date(fromMs);
  const [year, month, day] = [start.getFullYear(), start.getMonth(), start.getDate()];
  let next;
  if (step !== undefined) {
    // Counted from midnight by the clock on the wall, so that they are round also behind a change to summer time.
    const perDay = DAY_MS / step;
    const first = Math.floor((start.getHours() * HOUR_MS + start.getMinutes() * MINUTE_MS + start.getSeconds() * SECOND_MS) / step);
    next = (i) => new Date(year, month, day + Math.floor((first + i) / perDay), 0, 0, 0, ((first + i) % perDay) * step);
  } else {
    const days = DAY_STEPS.find((one) => one * DAY_MS >= least);
    const months = MONTH_STEPS.find((one) => one * MONTH_MS >= least) ?? MONTH_STEPS.at(-1);
    if (days !== undefined) next = (i) => new Date(year, month, day + i * days);
    else next = (i) => new Date(months >= 12 ? year - (year % (months / 12)) : year, (months >= 12 ? 0 : month - (month % months)) + i * months, 1);
  }
  const result = [];
  for (let i = 0; i < 20 * most + 100; i++) {
    const date = next(i);
    if (date > toMs) break;
    if (date >= fromMs && date.getTime() !== result.at(-1)?.ms) result.push({ ms: date.getTime(), unit: unitOf(date, step) });
  }
  return result;
}

function unitOf(date, step) {
  if (date.getSeconds() || (step < MINUTE_MS && date.getHours() + date.getMinutes() > 0)) return "second";
  if (date.getHours() || date.getMinutes()) return "minute";
  if (step !== undefined || date.getDate() !== 1) return "day";
  return date.getMonth() ? "month" : "year";
}
