// The charts of the Explore page: lines on up to four axes, further charts below, states as bands, all on one time.

import { Chart } from "../chart.js";
import { decimate } from "../decimate.js";
import { el, setAttr, setText } from "../dom.js";
import { drawStrip, runs } from "../draw/strip.js";
import { isWanted } from "../metrics.js";
import { token } from "../theme.js";
import { arrange, axesThatFit } from "./explore_axes.js";
import { stateLook } from "./state_look.js";

const LEAST_COLUMNS = 60;

/**
 * @typedef {object} Drawn one series as it is to be drawn
 * @property {import("./explore_axes.js").Info & {texts: string[]}} info
 * @property {string} colour
 * @property {boolean} isHidden
 * @property {import("../joined.js").JoinedSamples} samples
 * @property {number} gapMs
 * @property {{samples: import("../joined.js").JoinedSamples, shiftMs: number}|null} ghost the same, some time before
 */

export class ExplorePlots {
  /**
   * @param {(range: {fromMs: number, toMs: number}|null) => void} onZoom
   * @param {() => void} onResize
   */
  constructor(onZoom, onResize) {
    this.onZoom = onZoom;
    this.onResize = onResize;
    /** @type {{chart: Chart, plot: HTMLElement}[]} */
    this.charts = [];
    this.plots = el("div.explore-plots");
    this.strips = el("div.explore-strips");
    /** @type {Map<number, {row: HTMLElement, canvas: HTMLCanvasElement, label: HTMLElement}>} */
    this.rows = new Map();
    this.failure = el("p.chart-failure", { hidden: true });
    this.room = 1;
    this.element = el("div.explore-charts", {}, this.failure, this.plots, this.strips);
  }

  /** @returns {number} pixels of time, for the server's two points each */
  get columns() {
    const width = this.plots.clientWidth || this.element.clientWidth;
    return Math.max(LEAST_COLUMNS, Math.min(4_000, this.charts.length ? this.charts[0].chart.box.width : width - 64));
  }

  /** @returns {{left: number, width: number}} where times lie within the element */
  get box() {
    const { left, width } = this.charts[0]?.chart.box ?? { left: 0, width: this.element.clientWidth };
    return { left, width };
  }

  /**
   * @param {Drawn[]} drawn
   * @param {{fromMs: number, toMs: number}} span
   * @returns {{points: number, isSeen: boolean}} what is to be seen
   */
  draw(drawn, { fromMs, toMs }) {
    const { plots, states } = arrange(drawn.map((one) => one.info), axesThatFit(this.element.clientWidth));
    const byId = new Map(drawn.map((one) => [one.info.id, one]));
    this.#setCharts(Math.max(plots.length, states.length ? 0 : 1));
    this.room = Math.max(1, ...plots.map((axes) => axes.length));
    let points = 0;
    plots.forEach((axes, i) => {
      const traces = axes.flatMap((axis, number) => axis.series.flatMap((info) => this.#traces(byId.get(info.id), number, fromMs, toMs)));
      points += traces.reduce((sum, { line }) => sum + line.points, 0);
      const looks = axes.map((axis) => ({ unit: axis.unit, colour: axis.series.length === 1 ? byId.get(axis.series[0].id).colour : undefined }));
      const { chart, plot } = this.charts[i];
      chart.draw(traces, fromMs, toMs, { axes: looks, room: this.room });
      setAttr(plot, "data-axes", String(axes.length));
      setAttr(plot, "data-points", String(Math.max(1, traces.reduce((sum, { line }) => sum + line.points, 0))));
      setAttr(plot, "aria-label", axes.map((axis) => `${axis.unit}: ${axis.series.map((one) => one.label).join(", ")}`).join("; "));
    });
    points += this.#drawStrips(states.map((info) => byId.get(info.id)), fromMs, toMs);
    return { points };
  }

  /** @returns {Promise<{pictures: string[], width: number}>} of the charts, from top to bottom */
  async pictures() {
    return { pictures: await Promise.all(this.charts.filter(({ chart }) => chart.isDrawn).map(({ chart }) => chart.picture())), width: this.plots.clientWidth };
  }

  remove() {
    this.#setCharts(0);
  }

  #traces(one, axis, fromMs, toMs) {
    if (one.isHidden) return [];
    const { info, colour, samples, gapMs, ghost } = one;
    const columns = Math.ceil(this.columns);
    const common = { name: info.label, unit: info.unit, precision: info.precision, colour, axis, isStep: isWanted(info) };
    const line = decimate(samples, fromMs, toMs, columns, gapMs, (a, b) => samples.mergedMs(a, b));
    if (!ghost) return [{ ...common, line }];
    const before = decimate(ghost.samples, fromMs - ghost.shiftMs, toMs - ghost.shiftMs, columns, Infinity);
    const moved = { ...before, x: before.x.map((time) => time + ghost.shiftMs) };
    return [{ ...common, name: `${info.label}, before`, line: moved, isGhost: true }, { ...common, line }]; // the present above
  }

  #drawStrips(states, fromMs, toMs) {
    const { left, width } = this.box;
    this.strips.style.paddingLeft = `${this.charts.length ? left : 0}px`;
    this.strips.style.width = this.charts.length ? `${left + width}px` : "";
    const style = { labels: true, empty: token("--line"), font: `11px ${token("--font")}` };
    let points = 0;
    for (const [id, { row }] of this.rows) {
      if (states.some((one) => one.info.id === id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    for (const { info, samples, gapMs, isHidden } of states) {
      const { row, canvas, label } = this.rows.get(info.id) ?? this.#row(info.id);
      setText(label, info.label);
      row.hidden = isHidden;
      const parts = runs(samples, fromMs, toMs, gapMs, (a, b) => samples.mergedMs(a, b));
      points += parts.length;
      drawStrip(canvas, parts, fromMs, toMs, (value) => stateLook(info, value), style);
      setAttr(canvas, "aria-label", `${info.label}: ${parts.length} states shown`);
      setAttr(canvas, "data-parts", String(parts.length));
    }
    return points;
  }

  #row(id) {
    const canvas = el("canvas.strip", { role: "img", "data-testid": "explore-strip" });
    const label = el("span.explore-strip-name");
    const made = { canvas, label, row: el("div.explore-strip", {}, label, canvas) };
    this.rows.set(id, made);
    this.strips.append(made.row);
    return made;
  }

  #setCharts(count) {
    while (this.charts.length > count) {
      const { chart, plot } = this.charts.pop();
      chart.remove();
      plot.remove();
    }
    while (this.charts.length < count) {
      const plot = el("div.explore-plot", { "data-testid": "explore-plot", role: "img" });
      const chart = new Chart(plot, this.onZoom, { hasHover: false, onResize: this.onResize });
      this.charts.push({ chart, plot });
      this.plots.append(plot);
      void this.#load(chart);
    }
    setAttr(this.plots, "data-count", String(count));
  }

  async #load(chart) {
    try {
      await chart.load();
      this.failure.hidden = true;
      this.onResize();
    } catch {
      setText(this.failure, "The chart library could not be loaded from the server. The values are in the table below.");
      this.failure.hidden = false;
    }
  }
}
