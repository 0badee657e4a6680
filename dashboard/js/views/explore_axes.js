// Which series share an axis, and which axes a chart. Pure.

/**
 * @typedef {object} Info what is known of a series
 * @property {number} id
 * @property {string} label device and metric
 * @property {string} deviceId
 * @property {string} metric
 * @property {string} name
 * @property {string} kind
 * @property {string} unit
 * @property {number|null} precision
 *
 * @typedef {{unit: string, key: string, series: Info[]}} Axis
 */

/**
 * One axis for each unit, in order of appearance; without a unit, for each metric: 3 bar and 3 restarts do not compare.
 * More axes than a chart can bear go into further charts below.
 * @param {Info[]} series
 * @param {number} maxAxes of one chart
 * @returns {{plots: Axis[][], states: Info[]}} states: booleans and texts, which are bands rather than lines
 */
export function arrange(series, maxAxes) {
  /** @type {Map<string, Axis>} */
  const axes = new Map();
  const states = [];
  for (const one of series) {
    if (one.kind === "boolean" || one.kind === "text") {
      states.push(one);
      continue;
    }
    const key = one.unit ? `unit ${one.unit}` : `metric ${one.metric}`;
    const axis = axes.get(key) ?? { unit: one.unit || one.name, key, series: [] };
    axis.series.push(one);
    axes.set(key, axis);
  }
  const all = [...axes.values()];
  const plots = [];
  for (let i = 0; i < all.length; i += maxAxes) plots.push(all.slice(i, i + maxAxes));
  return { plots, states };
}

/**
 * How many axes fit beside a chart.
 * @param {number} width of the page's column, in pixels
 */
export function axesThatFit(width) {
  return width < 560 ? 2 : width < 900 ? 3 : 4;
}
