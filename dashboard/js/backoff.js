// How long to wait before the next attempt to connect. Pure, so that it can be tested.

export const BACKOFF_MIN_MS = 500;
export const BACKOFF_MAX_MS = 30_000;

/**
 * Full jitter: anything between the minimum and a ceiling that doubles with each failure. After a restart of the
 * bridge a thousand dashboards then come back spread out, not all at once.
 * @param {number} failures attempts that have failed in a row, 1 or more
 * @param {number} random in [0, 1)
 * @returns {number} milliseconds
 */
export function backoffMs(failures, random) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(Math.max(failures, 1), 16));
  return Math.round(BACKOFF_MIN_MS + random * (ceiling - BACKOFF_MIN_MS));
}
