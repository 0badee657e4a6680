// From many samples to what a screen can show: at most two points a pixel, and never across a hole. Pure.

const GAP_FACTOR = 5; // a hole: no reading for more than five times the usual interval
const GAP_MIN_MS = 3_000; // jitter of a fast sensor is no hole
const INTERVALS = 64;

/**
 * The usual time between the newest samples: their median, so that one hole does not count.
 * @param {import("./rings.js").SampleRing} ring
 * @returns {number} milliseconds; 0 when there are too few samples to tell
 */
export function typicalInterval(ring) {
  const first = Math.max(1, ring.length - INTERVALS);
  const gaps = [];
  for (let i = first; i < ring.length; i++) gaps.push(ring.time(i) - ring.time(i - 1));
  if (gaps.length < 2) return 0;
  gaps.sort((a, b) => a - b);
  return gaps[gaps.length >> 1];
}

/**
 * From which silence on a line is broken.
 * @param {number} intervalMs the usual one
 */
export function gapLimit(intervalMs) {
  return intervalMs > 0 ? Math.max(GAP_MIN_MS, intervalMs * GAP_FACTOR) : Infinity;
}

/**
 * @typedef {object} Line
 * @property {Float64Array} x times in ms
 * @property {Float64Array} y values; NaN where the line is broken
 * @property {number} points without the breaks
 * @property {number} low lowest value within the span; NaN when there is none
 * @property {number} high
 * @property {number} last NaN when there is none
 */

/**
 * At most two points a column of pixels, the lowest and the highest, in order of time.
 * @param {import("./rings.js").SampleRing|import("./joined.js").JoinedSamples} ring
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} columns
 * @param {number} gapMs break the line where samples are further apart
 * @param {(fromMs: number, toMs: number) => number} [mergedMs] how much of a silence is none: see `History.mergedMs`
 * @returns {Line}
 */
export function decimate(ring, fromMs, toMs, columns, gapMs, mergedMs = () => 0) {
  const room = 3 * (columns + 3); // a break and two points for each column, and for what lies before and behind
  const line = { x: new Float64Array(room), y: new Float64Array(room), points: 0, low: NaN, high: NaN, last: NaN };
  const width = (toMs - fromMs) / columns;
  // One sample before the span and one behind, so that the line comes in from the left edge and leaves at the right.
  const before = Math.max(0, ring.lowerBound(fromMs) - 1);
  let n = 0;
  let previous = NaN; // time of the last sample seen
  let broken = false; // between the last point and the next column's
  let breakNext = false; // the same, after the column we are in: a hole narrower than a pixel is not drawn
  let column = -2;
  let lowAt = -1;
  let highAt = -1;

  const put = (i) => {
    line.x[n] = ring.time(i);
    line.y[n++] = ring.value(i);
    line.points++;
  };
  const flush = () => {
    if (lowAt < 0) return;
    const first = Math.min(lowAt, highAt);
    if (broken && n > 0) {
      line.x[n] = (line.x[n - 1] + ring.time(first)) / 2;
      line.y[n++] = NaN;
    }
    broken = breakNext;
    breakNext = false;
    put(first);
    if (lowAt !== highAt) put(Math.max(lowAt, highAt));
    lowAt = highAt = -1;
  };

  for (let i = before; i < ring.length; i++) {
    const time = ring.time(i);
    const isBehind = time > toMs;
    const value = ring.value(i);
    const here = isBehind ? columns : time < fromMs ? -1 : Math.min(columns - 1, Math.floor((time - fromMs) / width));
    const bad = !Number.isFinite(value);
    const hole = bad || (time - previous > gapMs && time - previous - mergedMs(previous, time) > gapMs);
    if (here !== column) {
      flush();
      column = here;
    }
    if (hole && lowAt < 0) broken = true;
    else if (hole) breakNext = true;
    previous = time;
    if (bad && isBehind) break;
    if (bad) continue;
    if (lowAt < 0) {
      lowAt = highAt = i;
    } else {
      if (value < ring.value(lowAt)) lowAt = i;
      if (value >= ring.value(highAt)) highAt = i;
    }
    if (isBehind) break;
    if (time >= fromMs) {
      if (!(value >= line.low)) line.low = value;
      if (!(value <= line.high)) line.high = value;
    }
    line.last = value;
  }
  flush();
  line.x = line.x.subarray(0, n);
  line.y = line.y.subarray(0, n);
  return line;
}
