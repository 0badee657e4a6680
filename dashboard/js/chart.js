// Line charts. The only module that knows Plotly, which is loaded when the first chart opens: it is 4.8 MB.

import { makeLayout, makeTrace, margins } from "./chart_layout.js";
import { wallTime } from "./wall_time.js";

const SOURCE = "/static/vendor/plotly.min.js";
const LEAST_PX = 40; // narrower is not on the screen yet
const HEIGHT_PX = 220; // where the style sheet says nothing

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

/** One chart in one element. */
export class Chart {
  /**
   * @param {HTMLElement} element
   * @param {(range: {fromMs: number, toMs: number}|null) => void} onZoom somebody chose a span; null: the one before
   * @param {{hasHover?: boolean, onResize?: () => void}} [options] hasHover: Plotly shows values beside the pointer
   */
  constructor(element, onZoom, { hasHover = true, onResize = () => {} } = {}) {
    this.element = element;
    this.onZoom = onZoom;
    this.hasHover = hasHover;
    this.plotly = null;
    this.isDrawn = false;
    this.isGone = false;
    this.width = 0;
    this.room = 0;
    this.hover = null;
    this.resized = new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      onResize();
    });
    this.resized.observe(element);
  }

  /** @returns {Promise<void>} rejects when the library cannot be loaded */
  async load() {
    this.plotly = await loadPlotly();
  }

  /**
   * Draw, or draw again.
   * @param {import("./chart_layout.js").Trace[]} traces
   * @param {number} fromMs
   * @param {number} toMs
   * @param {{axes?: {unit: string, colour?: string}[], room?: number, isBrief?: boolean}} [look]
   *   room: leave space for so many axes, so that charts above each other have their times above each other
   */
  draw(traces, fromMs, toMs, { axes = [], room = axes.length, isBrief = false } = {}) {
    if (!this.plotly || this.isGone || this.width < LEAST_PX) return;
    // Plotly writes times as UTC; people want their own.
    this.wall = wallTime(fromMs, toMs);
    this.room = room;
    const look = {
      ...{ width: this.width, height: this.element.clientHeight || HEIGHT_PX, fromMs, toMs },
      ...{ wall: this.wall, axes, room, isBrief, hasHover: this.hasHover },
    };
    const data = traces.map((trace) => makeTrace(trace, look));
    const layout = makeLayout(traces, look);
    if (this.isDrawn) {
      this.plotly.react(this.element, data, layout);
      this.#hoverAgain();
      return;
    }
    this.plotly.newPlot(this.element, data, layout, CONFIG);
    this.isDrawn = true;
    this.element.on("plotly_relayout", (change) => this.#relayout(change));
    this.element.on("plotly_doubleclick", () => this.onZoom(null));
    this.element.on("plotly_hover", (event) => (this.hover = event.event ?? null));
    this.element.on("plotly_unhover", () => (this.hover = null));
  }

  /** @returns {{left: number, width: number}} where times lie, in pixels within the element */
  get box() {
    const { l, r } = margins(this.room);
    return { left: l, width: Math.max(1, this.width - l - r) };
  }

  /** @returns {Promise<string>} the picture as an SVG in a data address */
  async picture() {
    return this.plotly.toImage(this.element, { format: "svg", width: this.width, height: this.element.clientHeight });
  }

  remove() {
    this.isGone = true;
    this.resized.disconnect();
    if (this.isDrawn) this.plotly.purge(this.element);
  }

  #relayout(change) {
    if (change["xaxis.range[0]"] === undefined) return;
    const [fromMs, toMs] = [change["xaxis.range[0]"], change["xaxis.range[1]"]].map((text) => this.wall.toMs(parse(text)));
    if (Number.isFinite(fromMs) && toMs > fromMs) this.onZoom({ fromMs, toMs });
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
}

/** Plotly tells a number as it was given, or a date in words. */
const parse = (told) => (typeof told === "number" ? told : new Date(`${String(told).replace(" ", "T")}Z`).getTime());

const CONFIG = Object.freeze({
  displayModeBar: false,
  displaylogo: false,
  responsive: false, // resized with the next drawing
  doubleClick: false, // what that means is for us to say
  scrollZoom: false,
  showTips: false,
});
