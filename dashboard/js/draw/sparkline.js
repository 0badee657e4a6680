// Sparklines: a line without axes that says "how has this been going".

import { SPARK_BUCKETS } from "../rings.js";
import { prepare } from "./canvas.js";

const PAD = 2;
const MAX_BAND = 3; // pixels
// A hole is more than this: a sensor that reports twice a minute is not broken.
const HOLE_MS = 40_000;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("../rings.js").SparkRing} spark
 * @param {number} fromMs
 * @param {number} toMs now
 * @param {{line: string, fill: string}} colours
 * @param {number} [coarseMs] readings may be so far apart without a hole between them
 */
export function drawSpark(canvas, spark, fromMs, toMs, colours, coarseMs = 0) {
  const surface = prepare(canvas);
  if (!surface) return;
  const { context, width, height } = surface;
  const { stamps, lows, highs, lasts, bucketMs } = spark;
  const newest = Math.floor(toMs / bucketMs);
  const oldest = Math.max(newest - SPARK_BUCKETS + 1, Math.floor(fromMs / bucketMs));
  let low = Infinity;
  let high = -Infinity;
  for (let slot = 0; slot < SPARK_BUCKETS; slot++) {
    if (stamps[slot] < oldest || stamps[slot] > newest) continue;
    if (lows[slot] < low) low = lows[slot];
    if (highs[slot] > high) high = highs[slot];
  }
  if (low > high) return;
  const y = scale(low, high, height);
  const step = ((width - 2 * PAD) * bucketMs) / Math.max(bucketMs, toMs - fromMs - bucketMs);
  const band = Math.min(step, MAX_BAND);
  const hole = Math.max(HOLE_MS, coarseMs * 1.5) / bucketMs;

  context.fillStyle = colours.fill;
  context.strokeStyle = colours.line;
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.beginPath();
  let previous = -Infinity;
  let x = 0;
  for (let bucket = oldest; bucket <= newest; bucket++) {
    const slot = bucket % SPARK_BUCKETS;
    if (stamps[slot] !== bucket) continue;
    x = width - PAD - (newest - bucket) * step;
    const top = y(highs[slot]);
    const span = y(lows[slot]) - top;
    if (span > 1) context.fillRect(x - band / 2, top, band, span);
    if (bucket - previous > hole) context.moveTo(x, y(lasts[slot]));
    else context.lineTo(x, y(lasts[slot]));
    previous = bucket;
  }
  context.stroke();
  if (newest - previous <= hole) {
    context.fillStyle = colours.line;
    context.fillRect(x - 1.25, y(lasts[previous % SPARK_BUCKETS]) - 1.25, 2.5, 2.5);
  }
}

/**
 * The same from a decimated line.
 * @param {HTMLCanvasElement} canvas
 * @param {import("../decimate.js").Line} line
 * @param {number} fromMs
 * @param {number} toMs
 * @param {{line: string}} colours
 */
export function drawLine(canvas, line, fromMs, toMs, colours) {
  const surface = prepare(canvas);
  if (!surface || !(line.low <= line.high)) return;
  const { context, width, height } = surface;
  const y = scale(line.low, line.high, height);
  const perMs = (width - 2 * PAD) / (toMs - fromMs);
  context.strokeStyle = colours.line;
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.beginPath();
  let broken = true;
  for (let i = 0; i < line.x.length; i++) {
    if (Number.isNaN(line.y[i])) {
      broken = true;
      continue;
    }
    const x = PAD + (line.x[i] - fromMs) * perMs;
    if (broken) context.moveTo(x, y(line.y[i]));
    else context.lineTo(x, y(line.y[i]));
    broken = false;
  }
  context.stroke();
}

/** A constant value lies in the middle: a flat line at an edge looks like a limit. */
function scale(low, high, height) {
  const span = high - low;
  if (!(span > 0)) return () => height / 2;
  return (value) => PAD + (1 - (value - low) / span) * (height - 2 * PAD);
}
