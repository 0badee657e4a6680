// How a state looks in a strip: its word and its colours.

import { formatValue } from "../format.js";
import { decode } from "../model.js";
import { token } from "../theme.js";

const FILLS = 6;

/**
 * @param {import("../model.js").Series} series a boolean or a text
 * @param {number} value as frames carry it
 * @returns {{label: string, fill: string, text: string}}
 */
export function stateLook(series, value) {
  const label = formatValue(series, decode(series, value));
  if (series.kind === "boolean") {
    const name = value === 0 ? "off" : "on";
    return { label, fill: token(`--state-${name}`), text: token(`--state-${name}-text`) };
  }
  return { label, fill: token(`--state-${(value % FILLS) + 1}`), text: token("--state-text") };
}
