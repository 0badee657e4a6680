// Times as people's clocks show them, for axes that know no time zones. Pure, but for the time zone of the browser.

const DAY_MS = 86_400_000;
// Below this, one shift for all: a line must not run back on itself where clocks are set back within the picture. Above,
// each time has its own, so that midnight is midnight on both sides of the change; an hour is a pixel or two by then.
const ONE_SHIFT_MS = 3 * DAY_MS;
const PROBES = 26; // in a year: two weeks apart, and summer time lasts for months

/**
 * @typedef {object} WallTime
 * @property {(ms: number) => number} toWall what a clock on the wall shows then, as if that were UTC
 * @property {(wall: number) => number} toMs and back
 */

/**
 * @param {number} fromMs
 * @param {number} toMs
 * @returns {WallTime}
 */
export function wallTime(fromMs, toMs) {
  const shift = shiftAt(toMs);
  const constant = { toWall: (ms) => ms + shift, toMs: (wall) => wall - shift };
  if (toMs - fromMs < ONE_SHIFT_MS) return constant;
  const probes = Math.max(2, Math.min(400, Math.ceil(((toMs - fromMs) / (365 * DAY_MS)) * PROBES)));
  for (let i = 0; i <= probes; i++) {
    if (shiftAt(fromMs + ((toMs - fromMs) * i) / probes) !== shift) return { toWall: (ms) => ms + shiftAt(ms), toMs: fromWall };
  }
  return constant;
}

/**
 * The same time of day some days before, by the calendar: across a change to or from summer time a day has 23 or 25 hours.
 * @param {number} ms
 * @param {number} days
 */
export function daysBefore(ms, days) {
  const date = new Date(ms);
  date.setDate(date.getDate() - days);
  return date.getTime();
}

const shiftAt = (ms) => -new Date(ms).getTimezoneOffset() * 60_000;

function fromWall(wall) {
  const at = new Date(wall);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  return new Date(year, month, day, at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds(), at.getUTCMilliseconds()).getTime();
}
