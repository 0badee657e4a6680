// State timelines: when was it on, which mode was it in. One bar, coloured by state; holes stay empty.

import { prepare } from "./canvas.js";

/**
 * Runs of equal values.
 * @param {import("../rings.js").SampleRing|import("../joined.js").JoinedSamples} ring
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} gapMs from which silence on a state is no longer assumed to hold
 * @param {(fromMs: number, toMs: number) => number} [mergedMs] how much of a silence is none: see `History.mergedMs`
 * @returns {{from: number, to: number, value: number}[]} value NaN: no value
 */
export function runs(ring, fromMs, toMs, gapMs, mergedMs = () => 0) {
  const result = [];
  let run = null;
  // A history names changes only: up to where it is known, a state holds.
  const held = (until) => Math.max(run.seen, Math.min(until, ring.knownMs ?? -Infinity));
  for (let i = Math.max(0, ring.lowerBound(fromMs) - 1); i < ring.length; i++) {
    const time = ring.time(i);
    if (time > toMs) break;
    const value = ring.value(i);
    const same = run !== null && (run.value === value || (Number.isNaN(run.value) && Number.isNaN(value)));
    const hole = run !== null && time - run.seen > gapMs && time - run.seen - mergedMs(run.seen, time) > gapMs;
    if (run && same && !hole) {
      run.seen = time;
      continue;
    }
    if (run) run.to = hole ? held(time) : time;
    run = { from: Math.max(fromMs, time), to: toMs, value, seen: time };
    result.push(run);
  }
  if (run && toMs - run.seen > gapMs && toMs - run.seen - mergedMs(run.seen, toMs) > gapMs) run.to = held(toMs);
  return result.map(({ from, to, value }) => ({ from, to: Math.max(from, to), value }));
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{from: number, to: number, value: number}[]} parts
 * @param {number} fromMs
 * @param {number} toMs
 * @param {(value: number) => {label: string, fill: string, text: string}} look
 * @param {{empty: string, font?: string, labels: boolean}} style
 */
export function drawStrip(canvas, parts, fromMs, toMs, look, style) {
  const surface = prepare(canvas);
  if (!surface) return;
  const { context, width, height } = surface;
  context.fillStyle = style.empty;
  context.fillRect(0, height - 1, width, 1);
  if (style.labels) context.font = style.font;
  context.textBaseline = "middle";
  const perMs = width / (toMs - fromMs);
  for (const part of parts) {
    if (Number.isNaN(part.value)) continue;
    const x = (part.from - fromMs) * perMs;
    const span = Math.max(1.5, (part.to - part.from) * perMs);
    const { label, fill, text } = look(part.value);
    context.fillStyle = fill;
    context.fillRect(x, 0, Math.max(1, span - 1), height);
    if (style.labels && span > 28 && label) {
      context.save();
      context.beginPath();
      context.rect(x, 0, span - 4, height);
      context.clip();
      context.fillStyle = text;
      context.fillText(label, x + 6, height / 2 + 0.5);
      context.restore();
    }
  }
}
