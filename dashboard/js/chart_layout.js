// How a chart looks, in Plotly's terms: axes, ranges, lines. Pure.

import { plotlyText } from "./text.js";
import { token } from "./theme.js";

const AXIS_PX = 52; // numbers beside an axis, and a little air
const EDGE_PX = 12;
const UNIT_PX = 20; // above the plot, where units stand when there are several axes

/**
 * @typedef {object} Trace
 * @property {string} name
 * @property {string} unit
 * @property {number|null} precision
 * @property {string} colour
 * @property {boolean} isStep it holds until the next one: a wanted value
 * @property {import("./decimate.js").Line} line
 * @property {number} [axis] index of its value axis
 * @property {boolean} [isGhost] of another time, to compare with
 *
 * @typedef {object} Look
 * @property {number} width
 * @property {number} height
 * @property {number} fromMs
 * @property {number} toMs
 * @property {import("./wall_time.js").WallTime} wall
 * @property {{unit: string, colour?: string}[]} [axes] several: with their units above; none: one axis, named elsewhere
 * @property {number} [room] for so many axes is left
 * @property {boolean} hasHover whether Plotly shows values beside the pointer
 * @property {boolean} isBrief of today and some minutes: dates would say nothing
 */

/**
 * Room around the plot, in pixels.
 * @param {number} axes how many; 0: one that is named elsewhere
 */
export function margins(axes) {
  const [left, right] = [Math.max(1, Math.ceil(axes / 2)), Math.floor(axes / 2)];
  return { l: left * AXIS_PX, r: right * AXIS_PX || EDGE_PX, t: axes ? UNIT_PX + 4 : 8, b: 40 };
}

/**
 * @param {Trace[]} traces
 * @param {Look} look
 * @returns {object} Plotly's layout
 */
export function makeLayout(traces, look) {
  const { width, height, wall, axes = [], room = axes.length, hasHover, isBrief } = look;
  const muted = token("--text-muted");
  const line = token("--line-strong");
  const layout = {
    width,
    height,
    margin: { ...margins(room), ...(isBrief && { b: 26 }) },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false,
    hovermode: hasHover ? "x unified" : false,
    dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false,
    font: { family: token("--font"), size: 11, color: muted },
    hoverlabel: {
      bgcolor: token("--surface-raised"),
      bordercolor: line,
      font: { family: token("--font"), size: 12, color: token("--text") },
    },
    annotations: axes.map((axis, i) => unitLabel(axis, i)),
    xaxis: {
      type: "date",
      range: [wall.toWall(look.fromMs), wall.toWall(look.toMs)],
      gridcolor: token("--chart-grid"),
      linecolor: line,
      zeroline: false,
      showspikes: hasHover,
      spikemode: "across",
      spikethickness: 1,
      spikedash: "solid",
      spikecolor: line,
      nticks: Math.max(3, Math.floor(width / 85)),
      hoverformat: isBrief ? "%H:%M:%S" : "%a %-d %b %Y %H:%M:%S",
      tickformat: isBrief ? "%H:%M:%S" : undefined,
      tickformatstops: isBrief ? undefined : TICKS,
      ticklen: 4,
      tickcolor: line,
      tickangle: 0,
    },
  };
  for (let i = 0; i < Math.max(1, axes.length); i++) {
    layout[i ? `yaxis${i + 1}` : "yaxis"] = valueAxis(traces.filter((trace) => (trace.axis ?? 0) === i), i, axes[i]);
  }
  return layout;
}

/** The second line is written where it changes. */
const TICKS = [
  { dtickrange: [null, 999], value: "%H:%M:%S.%L\n%-d %b %Y" },
  { dtickrange: [1_000, 59_999], value: "%H:%M:%S\n%-d %b %Y" },
  { dtickrange: [60_000, 86_399_999], value: "%H:%M\n%-d %b %Y" },
  { dtickrange: [86_400_000, "M1"], value: "%-d %b\n%Y" },
  { dtickrange: ["M1", "M12"], value: "%b\n%Y" },
  { dtickrange: ["M12", null], value: "%Y" },
];

/** Axes stand left, right, left, right, each pair further out. */
function valueAxis(traces, i, named) {
  const isOuter = i > 1;
  return {
    range: yRange(traces),
    gridcolor: token("--chart-grid"),
    showgrid: i === 0, // two grids that do not meet are none
    zeroline: false,
    tickmode: "auto", // each axis its own round numbers, not those that happen to lie beside the first one's
    nticks: 6,
    ticklabelstandoff: 3,
    fixedrange: true,
    exponentformat: "SI",
    separatethousands: false,
    tickfont: named?.colour ? { color: named.colour } : undefined,
    ...(i > 0 && { overlaying: "y", side: i % 2 ? "right" : "left" }),
    ...(isOuter && { anchor: "free", position: i % 2, shift: (i % 2 ? 1 : -1) * AXIS_PX }),
  };
}

/** What fits beside the next axis: without a unit an axis has the metric's name, which the table below tells in full. */
const LABEL_LETTERS = 8;

function unitLabel({ unit, colour }, i) {
  const isRight = i % 2 === 1;
  return {
    // A percent sign begins something in hover texts only; here the look-alike would be one for nothing.
    text: plotlyText(unit.length > LABEL_LETTERS ? `${unit.slice(0, LABEL_LETTERS - 1)}…` : unit).replaceAll("\uff05", "%"),
    showarrow: false,
    xref: "paper",
    yref: "paper",
    x: isRight ? 1 : 0,
    y: 1,
    xanchor: isRight ? "left" : "right",
    yanchor: "bottom",
    xshift: (isRight ? 1 : -1) * (3 + (i > 1 ? AXIS_PX : 0)),
    yshift: 5,
    font: { size: 11, color: colour ?? token("--text-muted") },
  };
}

/**
 * @param {Trace} trace
 * @param {Look} look
 * @returns {object} Plotly's trace
 */
export function makeTrace(trace, { wall, hasHover }) {
  const digits = Number.isInteger(trace.precision) ? Math.min(Math.max(trace.precision, 0), 10) : null;
  const number = digits === null ? "%{y:.4~g}" : `%{y:.${digits}f}`;
  const unit = trace.unit ? ` ${plotlyText(trace.unit)}` : "";
  const { isGhost = false, axis = 0 } = trace;
  return {
    type: "scatter",
    mode: trace.line.points === 1 ? "markers" : "lines",
    name: plotlyText(trace.name),
    x: trace.line.x.map(wall.toWall),
    y: trace.line.y,
    yaxis: axis ? `y${axis + 1}` : "y",
    connectgaps: false,
    opacity: isGhost ? 0.6 : 1,
    line: {
      color: trace.colour,
      width: isGhost ? 1.25 : 1.5,
      shape: trace.isStep ? "hv" : "linear",
      dash: isGhost ? "6px,4px" : trace.isStep ? "5px,3px" : "solid",
    },
    marker: { color: trace.colour, size: 5 },
    ...(hasHover ? { hovertemplate: `${number}${unit}<extra>${plotlyText(trace.name)}</extra>` } : { hoverinfo: "skip" }),
  };
}

/** With air above and below; a constant gets a band around it, so that noise does not look like an event. */
function yRange(traces) {
  let low = Infinity;
  let high = -Infinity;
  let least = 0;
  for (const { line, precision } of traces) {
    if (line.low < low) low = line.low;
    if (line.high > high) high = line.high;
    if (Number.isInteger(precision)) least = Math.max(least, 4 * 10 ** -precision);
  }
  if (low > high) return [0, 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const span = Math.max(high - low, least, size * 1e-3) || 1;
  const middle = (low + high) / 2;
  return [middle - span * 0.58, middle + span * 0.58];
}
