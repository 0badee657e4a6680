// Line charts. The only module that knows Plotly, which is loaded when the first chart opens: it is 4.8 MB.

import { plotlyText } from "./text.js";
import { token } from "./theme.js";

const SOURCE = "/static/vendor/plotly.min.js";

/** @type {Promise<object>|null} */
let loading = null;

/** @returns {Promise<object>} the library */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = SOURCE;
    script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject(new Error("Plotly did not start")));
    script.onerror = () => {
      loading = null; // the next chart tries again
      script.remove();
      reject(new Error("Plotly could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

/**
 * @typedef {object} Trace
 * @property {string} name
 * @property {string} unit
 * @property {number|null} precision
 * @property {string} colour
 * @property {boolean} isStep a wanted value: it holds until the next one
 * @property {import("./decimate.js").Line} line
 */

/** One chart in one element. */
export class Chart {
  /**
   * @param {HTMLElement} element
   * @param {(range: {fromMs: number, toMs: number}|null) => void} onZoom somebody zoomed in; null: and back out
   */
  constructor(element, onZoom) {
    this.element = element;
    this.onZoom = onZoom;
    this.plotly = null;
    this.isDrawn = false;
    this.isGone = false;
    this.width = 0;
    this.hover = null;
    this.resized = new ResizeObserver(([entry]) => (this.width = Math.floor(entry.contentRect.width)));
    this.resized.observe(element);
  }

  /** @returns {Promise<void>} rejects when the library cannot be loaded */
  async load() {
    this.plotly = await loadPlotly();
  }

  /**
   * Draw, or draw again.
   * @param {Trace[]} traces
   * @param {number} fromMs
   * @param {number} toMs
   */
  draw(traces, fromMs, toMs) {
    if (!this.plotly || this.isGone || this.width < 40) return;
    // Plotly writes times as UTC; people want their own. All of one window is shifted alike.
    const shift = -new Date(toMs).getTimezoneOffset() * 60_000;
    this.shift = shift;
    const data = traces.map((trace) => plotlyTrace(trace, shift));
    const layout = this.#layout(traces, fromMs + shift, toMs + shift);
    if (this.isDrawn) {
      this.plotly.react(this.element, data, layout);
      this.#hoverAgain();
      return;
    }
    this.plotly.newPlot(this.element, data, layout, CONFIG);
    this.isDrawn = true;
    this.element.on("plotly_relayout", (change) => this.#relayout(change));
    this.element.on("plotly_hover", (event) => (this.hover = event.event ?? null));
    this.element.on("plotly_unhover", () => (this.hover = null));
  }

  remove() {
    this.isGone = true;
    this.resized.disconnect();
    if (this.isDrawn) this.plotly.purge(this.element);
  }

  #relayout(change) {
    if (change["xaxis.range[0]"] !== undefined) {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]].map(
        (text) => new Date(`${String(text).replace(" ", "T")}Z`).getTime() - this.shift,
      );
      if (Number.isFinite(from) && Number.isFinite(to)) this.onZoom({ fromMs: from, toMs: to });
    } else if (change["xaxis.autorange"]) {
      this.onZoom(null);
    }
  }

  /** A new drawing takes the hover label away; a hand that rests on the chart wants to keep reading. */
  #hoverAgain() {
    if (!this.hover) return;
    const { clientX, clientY } = this.hover;
    const plot = this.element.querySelector(".nsewdrag");
    if (!plot) return;
    const box = plot.getBoundingClientRect();
    const inside = clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
    if (!inside) this.hover = null;
    else plot.dispatchEvent(new MouseEvent("mousemove", { clientX, clientY, bubbles: true }));
  }

  #layout(traces, from, to) {
    const muted = token("--text-muted");
    const grid = token("--chart-grid");
    return {
      width: this.width,
      height: this.element.clientHeight || 220,
      margin: { l: 52, r: 12, t: 8, b: 26 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      hovermode: "x unified",
      dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false,
      font: { family: token("--font"), size: 11, color: muted },
      hoverlabel: {
        bgcolor: token("--surface-raised"),
        bordercolor: token("--line-strong"),
        font: { family: token("--font"), size: 12, color: token("--text") },
      },
      xaxis: {
        type: "date",
        range: [from, to],
        gridcolor: grid,
        linecolor: token("--line-strong"),
        zeroline: false,
        showspikes: true,
        spikemode: "across",
        spikethickness: 1,
        spikedash: "solid",
        spikecolor: token("--line-strong"),
        nticks: Math.max(3, Math.floor(this.width / 85)),
        hoverformat: "%H:%M:%S",
        tickformat: "%H:%M:%S",
        ticklen: 4,
        tickcolor: token("--line-strong"),
      },
      yaxis: {
        range: yRange(traces),
        gridcolor: grid,
        zeroline: false,
        nticks: 6,
        fixedrange: true,
        exponentformat: "SI",
        separatethousands: false,
      },
    };
  }
}

const CONFIG = Object.freeze({
  displayModeBar: false,
  displaylogo: false,
  responsive: false, // resized with the next drawing
  doubleClick: "reset",
  scrollZoom: false,
  showTips: false,
});

function plotlyTrace(trace, shift) {
  const digits = Number.isInteger(trace.precision) ? Math.min(Math.max(trace.precision, 0), 10) : null;
  const number = digits === null ? "%{y:.4~g}" : `%{y:.${digits}f}`;
  const unit = trace.unit ? ` ${plotlyText(trace.unit)}` : "";
  return {
    type: "scatter",
    mode: trace.line.points === 1 ? "markers" : "lines",
    name: plotlyText(trace.name),
    x: trace.line.x.map((time) => time + shift),
    y: trace.line.y,
    connectgaps: false,
    line: {
      color: trace.colour,
      width: 1.5,
      shape: trace.isStep ? "hv" : "linear",
      dash: trace.isStep ? "5px,3px" : "solid",
    },
    marker: { color: trace.colour, size: 5 },
    hovertemplate: `${number}${unit}<extra>${plotlyText(trace.name)}</extra>`,
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
