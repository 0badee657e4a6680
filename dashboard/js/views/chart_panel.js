// A chart of all metrics of a device that share a unit, live or of any time, with its legend and its twin as a table.

import { Chart } from "../chart.js";
import { decimate } from "../decimate.js";
import { el, setAttr, setText } from "../dom.js";
import { formatMoment, formatNumber } from "../format.js";
import { isWanted } from "../metrics.js";
import { formatSpan } from "../spans.js";
import { seriesColour } from "../theme.js";
import { ChartState } from "./chart_state.js";

const REDRAW_MS = 500; // a Plotly update costs some 15 ms, and people do not read faster
const SLOWEST_MS = 5_000;
const BRIEF_MS = 15 * 60_000; // so little, and now: dates would say nothing
const TABLE_ROWS = 20;
const EMPTY = Object.freeze({ x: new Float64Array(0), y: new Float64Array(0), points: 0, low: NaN, high: NaN, last: NaN });

export class ChartPanel {
  /**
   * @param {string} unit
   * @param {import("../model.js").Series[]} series
   * @param {import("../main.js").Context} context
   * @param {import("./time_window.js").TimeWindow} timeWindow
   * @param {import("./device_past.js").DevicePast} past
   */
  constructor(unit, series, context, timeWindow, past) {
    this.unit = unit;
    this.series = series;
    this.context = context;
    this.window = timeWindow;
    this.past = past;
    this.hidden = new Set();
    this.plot = el("div.chart-plot", { "data-testid": "chart", "data-unit": unit, "data-points": "0", role: "img" });
    this.empty = el("p.chart-empty", { hidden: true });
    this.failure = el("p.chart-failure", { hidden: true });
    this.legend = el("ul.legend", { "aria-label": "Lines" }, ...series.map((one, i) => this.#legendItem(one, i)));
    this.state = new ChartState(() => past.retry());
    this.table = el("table.chart-table");
    this.details = el("details.chart-details", { ontoggle: () => this.#fillTable() }, el("summary", { text: "As a table" }), this.table);
    this.legend.hidden = series.length === 1;
    this.element = el("section.chart-panel", {}, this.state.busy,
      el("header.chart-head", {}, el("h3", { text: title(series, unit) }), this.legend),
      this.failure, this.state.problem, el("div.chart-area", {}, this.plot, this.empty), this.details);
    this.chart = new Chart(this.plot, (range) => timeWindow.zoom(range), { onResize: () => this.refresh() });
    this.painted = context.scheduler.add(this.element, () => this.#paint(), REDRAW_MS);
    this.tableAt = 0;
    this.#load();
  }

  /** Something else is to be shown: soon, however slowly the live end moves. */
  refresh() {
    this.painted?.setPeriod(REDRAW_MS);
    this.painted?.invalidate();
  }

  remove() {
    this.painted.remove();
    this.chart.remove();
    this.element.remove();
  }

  async #load() {
    try {
      await this.chart.load();
      this.failure.hidden = true;
      this.painted.invalidate();
    } catch {
      setText(this.failure, "The chart library could not be loaded from the server. The values and the table below are live all the same.");
      this.failure.hidden = false;
    }
  }

  #legendItem(series, index) {
    const swatch = el("span.swatch", { "data-series": String((index % 8) + 1), "data-wanted": String(isWanted(series)) });
    const button = el("button.legend-item", {
      type: "button",
      "aria-pressed": "true",
      title: "Show or hide this line",
      onclick: () => {
        if (!this.hidden.delete(series)) this.hidden.add(series);
        setAttr(button, "aria-pressed", String(!this.hidden.has(series)));
        this.painted.invalidate();
      },
    }, swatch, series.name);
    return el("li", {}, button);
  }

  #paint() {
    const columns = Math.max(60, Math.min(2_000, this.chart.box.width));
    const view = this.past.look(this.series.filter((one) => !this.hidden.has(one)), columns);
    const { fromMs, toMs } = view;
    this.state.show(view.needsPast && this.past.isLoading, view.needsPast ? this.past.error : null);
    const { theme } = document.documentElement.dataset;
    const picture = [fromMs, toMs, this.chart.width, this.chart.isDrawn, this.hidden.size, theme, this.past.version].join();
    if (this.window.fixed && picture === this.picture) return;
    this.picture = picture;
    // Over a long window a reading moves the line by less than a pixel: then now and then is enough.
    this.painted.setPeriod(Math.min(SLOWEST_MS, Math.max(REDRAW_MS, (toMs - fromMs) / columns)));
    const traces = this.series.map((series, i) => {
      const { samples, gapMs, mergedMs } = this.past.samples(series, view);
      const line = this.hidden.has(series) ? EMPTY : decimate(samples, fromMs, toMs, columns, gapMs, mergedMs);
      const { name, unit, precision } = series;
      return { name, unit, precision, colour: seriesColour(i), isStep: isWanted(series), line };
    });
    this.chart.draw(traces, fromMs, toMs, { isBrief: !this.window.fixed && toMs - fromMs <= BRIEF_MS });
    const points = traces.reduce((sum, { line }) => sum + (isSeen(line) ? line.points : 0), 0);
    setAttr(this.plot, "data-points", String(points));
    this.empty.hidden = points > 0 || !this.failure.hidden;
    if (points === 0) this.#tellEmpty(view);
    setAttr(this.plot, "data-last", Number.isNaN(traces[0].line.last) ? "" : String(traces[0].line.last));
    const now = Date.now();
    if (now - this.tableAt < 2_000) return;
    this.tableAt = now;
    setAttr(this.plot, "aria-label", this.#summary(traces));
    this.#fillTable();
  }

  #tellEmpty(view) {
    if (this.hidden.size === this.series.length) return setText(this.empty, "All lines are hidden");
    if (view.needsPast && this.past.isLoading) return setText(this.empty, "Loading");
    if (view.needsPast) void this.past.findFirst();
    const { firstMs } = this.window;
    const since = view.needsPast && firstMs !== null ? `. The history begins ${formatMoment(firstMs, this.context.clock.now())}` : "";
    return setText(this.empty, `No readings in ${this.window.fixed ? "this time" : `the last ${this.window.label()}`}${since}`);
  }

  #summary(traces) {
    const parts = traces
      .filter(({ line }) => line.points > 0)
      .map(({ name, unit, precision, line }) => {
        const number = (value) => `${formatNumber(value, precision)}${unit ? ` ${unit}` : ""}`;
        return `${name}: ${this.window.fixed ? "at the end" : "now"} ${number(line.last)}, lowest ${number(line.low)}, highest ${number(line.high)}`;
      });
    const { fixed } = this.window;
    return `Chart of ${fixed ? formatSpan(fixed.fromMs, fixed.toMs) : `the last ${this.window.label()}`}. ${parts.join(". ")}`;
  }

  /** The newest readings, newest first. Costs nothing while it is closed. */
  #fillTable() {
    if (!this.details.open) return;
    const view = { ...this.past.look([], Math.max(60, this.chart.box.width)) };
    const head = el("tr", {}, el("th", { text: "Time", scope: "col" }), ...this.series.map((one) => el("th", { text: one.name, scope: "col" })));
    const all = this.series.map((one) => this.past.samples(one, view).samples);
    const times = new Set();
    for (const samples of all) {
      for (let i = samples.length - 1, n = 0; i >= 0 && n < TABLE_ROWS; i--) {
        if (samples.time(i) > view.toMs) continue;
        if (samples.time(i) < view.fromMs) break;
        times.add(samples.time(i));
        n++;
      }
    }
    const now = this.context.clock.now();
    const rows = [...times].sort((a, b) => b - a).slice(0, TABLE_ROWS).map((time) => el("tr", {},
      el("th", { text: formatMoment(time, now), scope: "row" }),
      ...all.map((samples, i) => el("td", { text: valueAt(samples, time, this.series[i].precision) }))));
    this.table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
  }
}

/** Whether a line has a reading in the picture, or runs through it from one before to one behind. */
const isSeen = (line) => line.low <= line.high || (line.x.length === 2 && line.points === 2);

function title(series, unit) {
  const names = series.length > 2 ? `${series[0].name} and ${series.length - 1} more` : series.map((one) => one.name).join(", ");
  return unit ? `${names} (${unit})` : names;
}

function valueAt(samples, time, precision) {
  const at = samples.lowerBound(time);
  return at < samples.length && samples.time(at) === time ? formatNumber(samples.value(at), precision) : "";
}
