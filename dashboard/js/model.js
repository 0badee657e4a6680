// What devices, series and commands are on this page, and the little that can be told from one of them alone. Pure.

/**
 * @typedef {object} Series
 * @property {number} id
 * @property {string} deviceId
 * @property {string} metric
 * @property {string} name
 * @property {"number"|"boolean"|"text"|"unknown"} kind
 * @property {string} unit
 * @property {string} unitSource
 * @property {number|null} precision
 * @property {number|null} min
 * @property {number|null} max
 * @property {string[]} texts
 * @property {number|boolean|string|null} value
 * @property {number|null} timeMs when it was measured; null: nobody knows
 * @property {number|null} receivedMs
 * @property {"good"|"bad"|"stale"} quality
 * @property {number} intervalMs usual time between readings, smoothed; 0: not known yet
 * @property {import("./rings.js").SparkRing|null} spark
 *
 * @typedef {object} Device
 * @property {string} id
 * @property {object} info as the server tells it, without `commands`
 * @property {string[]} commandNames
 * @property {Map<string, {title: string, description: string, schema: object, danger: boolean}>|null} commands
 *   null until its own channel has told them
 * @property {Map<string, Series>} series by metric, in order of appearance
 * @property {number|null} lastSeenMs
 * @property {"own"|"ahead"|"none"} clock what its readings' times are worth: its own; of the future; the bridge's stamp,
 *   because it told no time or a wrong one
 */

/**
 * A number of a frame as the series means it.
 * @param {Series} series
 * @param {number} number
 * @returns {number|boolean|string|null}
 */
export function decode(series, number) {
  if (Number.isNaN(number)) return null;
  if (series.kind === "boolean") return number !== 0;
  if (series.kind === "text") return series.texts[number] ?? null;
  return number;
}

const ENDED = new Set(["succeeded", "failed", "timed_out"]);

/** @param {object} command a record */
export function hasEnded(command) {
  return ENDED.has(command.state) || command.lost === true || command.refused !== undefined;
}
