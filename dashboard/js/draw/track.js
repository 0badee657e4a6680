// The time bar's track: how far the history reaches, the ticks, the marks of events.

import { prepare } from "./canvas.js";

export const PAD = 10; // so that the playhead at an end is not cut off
const LINE_Y = 20;
const LINE_HEIGHT = 4;
const MARK_Y = 11;
const LABEL_Y = 36;
const CROWD_HEIGHT = 12;

/**
 * @typedef {object} TrackPicture all x in pixels from the left end of the time, PAD to the right of the canvas
 * @property {number} width of the time, without PAD
 * @property {number} playedX how far the moment shown is
 * @property {number} knownX from where on there is a history
 * @property {{x: number, label: string, strong: boolean}[]} ticks
 * @property {{x: number, look: string}[]} marks
 * @property {{x: number, share: number, bad: number}[]|null} crowd in place of the marks, where they are too many
 * @property {number} completeX from where on all marks are there
 *
 * @param {HTMLCanvasElement} canvas
 * @param {TrackPicture} picture
 * @param {(name: string) => string} colour of styles/tokens.css
 */
export function drawTrack(canvas, { width, playedX, knownX, ticks, marks, crowd, completeX }, colour) {
  const surface = prepare(canvas);
  if (!surface) return;
  const { context } = surface;
  context.translate(PAD, 0);
  const bar = (from, to, fill) => {
    context.fillStyle = fill;
    if (to > from) context.fillRect(from, LINE_Y, to - from, LINE_HEIGHT);
  };
  const begin = Math.max(0, knownX);
  bar(begin, width, colour("--track-ahead"));
  bar(begin, Math.min(width, playedX), colour("--track"));
  // Before the history begins: dots, because there is nothing to go to.
  context.fillStyle = colour("--line-strong");
  for (let x = 0; x < Math.min(width, begin) - 3; x += 6) context.fillRect(x, LINE_Y + 1, 2, 2);

  context.textBaseline = "alphabetic";
  let free = -Infinity;
  for (const { x, label, strong } of ticks) {
    context.fillStyle = colour("--line-strong");
    context.fillRect(Math.round(x), LINE_Y + LINE_HEIGHT, 1, strong ? 6 : 4);
    context.font = `${strong ? "600 " : ""}11px ${colour("--font")}`;
    const half = context.measureText(label).width / 2;
    const left = Math.max(-PAD + 2, Math.min(width + PAD - 2 - 2 * half, x - half));
    if (left < free) continue;
    context.fillStyle = colour(strong ? "--text" : "--text-muted");
    context.fillText(label, left, LABEL_Y + 3);
    free = left + 2 * half + 10;
  }
  // What is not marked is not "nothing happened".
  context.fillStyle = colour("--text-faint");
  for (let x = Math.max(0, begin); x < Math.min(width, completeX) - 6; x += 10) context.fillRect(x, MARK_Y, 6, 1);
  for (const { x, share, bad } of crowd ?? []) {
    const height = 3 + share * (CROWD_HEIGHT - 3);
    context.fillStyle = colour("--line-strong");
    context.fillRect(x - 4, MARK_Y + 6 - height, 8, height);
    context.fillStyle = colour("--bad");
    context.fillRect(x - 4, MARK_Y + 6 - height * bad, 8, height * bad);
  }
  if (crowd) return;
  for (const { x, look } of marks) if (x >= -PAD && x <= width + PAD) drawMark(context, x, look, colour);
}

/** Shapes as well as colours: a cross, a stroke, a ring, a bolt's triangle, a flag. */
function drawMark(context, x, look, colour) {
  const at = Math.round(x) + 0.5;
  context.lineWidth = 1.75;
  context.beginPath();
  if (look === "offline" || look === "failed") {
    context.strokeStyle = colour("--bad");
    for (const way of [-1, 1]) {
      context.moveTo(at - 3, MARK_Y - 3 * way);
      context.lineTo(at + 3, MARK_Y + 3 * way);
    }
    context.stroke();
    if (look === "failed") context.strokeRect(at - 5, MARK_Y - 5, 10, 10);
  } else if (look === "command") {
    context.fillStyle = colour("--text-muted");
    context.moveTo(at, MARK_Y + 5);
    context.lineTo(at - 4, MARK_Y - 3);
    context.lineTo(at + 4, MARK_Y - 3);
    context.fill();
  } else if (look === "note") {
    context.strokeStyle = context.fillStyle = colour("--text");
    context.fillRect(at - 1, MARK_Y - 6, 1.5, 13);
    context.fillRect(at, MARK_Y - 6, 6, 5);
  } else if (look === "stale") {
    context.strokeStyle = colour("--warn");
    context.moveTo(at, MARK_Y - 4);
    context.lineTo(at + 4, MARK_Y + 3);
    context.lineTo(at - 4, MARK_Y + 3);
    context.closePath();
    context.stroke();
  } else {
    context.strokeStyle = colour("--normal");
    context.moveTo(at, MARK_Y - 4);
    context.lineTo(at, MARK_Y + 4);
    context.stroke();
  }
}
