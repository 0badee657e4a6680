// A live chart of all metrics that share a unit, with its legend and its twin as a table.

import { Chart } from "../chart.js";
import { decimate, gapLimit, typicalInterval } from "../decimate.js";
import { el, setAttr, setText } from "../dom.js";
import { formatNumber, formatTime } from "../format.js";
import { isWanted } from "../metrics.js";
import { seriesColour } from "../theme.js";

const REDRAW_MS = 500; // a Plotly update costs some 15 ms, and people do not read faster
const SLOWEST_MS = 1_000;
const TABLE_ROWS = 20;
const EMPTY = Object.freeze({ x: new Float64Array(0), y: new Float64Array(0), points: 0, low: NaN, high: NaN, last: NaN });

export class ChartPanel {
  /**
   * @param {string} unit
   * @param {import("../model.js").Series[]} series
   * @param {import("../main.js").Context} context
   * @param {import("./time_window.js").TimeWindow} timeWindow
   */
  constructor(unit, series, context, timeWindow) {
    this.unit = unit;
    this.series = series;
    this.context = context;
    this.window = timeWindow;
    this.hidden = new Set();
    this.plot = el("div.chart-plot", { "data-testid": "chart", "data-unit": unit, "data-points": "0", role: "img" });
    this.empty = el("p.chart-empty", { hidden: true });
    this.failure = el("p.chart-failure", { hidden: true });
    this.legend = el("ul.legend", { "aria-label": "Lines" }, ...series.map((one, i) => this.#legendItem(one, i)));
    this.table = el("table.chart-table");
    this.details = el("details.chart-details", { ontoggle: () => this.#fillTable() }, el("summary", { text: "As a table" }), this.table);
    this.legend.hidden = series.length === 1;
    this.element = el("section.chart-panel", {},
      el("header.chart-head", {}, el("h3", { text: title(series, unit) }), this.legend),
      this.failure, el("div.chart-area", {}, this.plot, this.empty), this.details);
    this.chart = new Chart(this.plot, (range) => timeWindow.zoom(range));
    this.painted = context.scheduler.add(this.element, () => this.#paint(), REDRAW_MS);
    this.tableAt = 0;
    this.#load();
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
    const swatch = el("span.swatch", { "data-series": String((index % 8) + 1), "data-wanted": isWanted(series) });
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
    const { fromMs, toMs } = this.window.span();
    const picture = [fromMs, toMs, this.chart.width, this.chart.isDrawn, this.hidden.size, document.documentElement.dataset.theme].join();
    if (this.window.fixed && picture === this.picture) return;
    this.picture = picture;
    const columns = Math.max(60, Math.min(2_000, this.chart.width - 64));
    // Over a long window a reading moves the line by less than a pixel: then once a second is enough.
    this.painted.setPeriod(Math.min(SLOWEST_MS, Math.max(REDRAW_MS, (toMs - fromMs) / columns)));
    const { history } = this.context.store;
    const mergedMs = (from, to) => history.mergedMs(from, to);
    const traces = this.series.map((series, i) => {
      const ring = history.get(series.id);
      const shown = ring && !this.hidden.has(series);
      // A wanted value is told when it changes: its silence is no hole.
      const gap = shown && !isWanted(series) ? gapLimit(typicalInterval(ring)) : Infinity;
      const line = shown ? decimate(ring, fromMs, toMs, columns, gap, mergedMs) : EMPTY;
      const { name, unit, precision } = series;
      return { name, unit, precision, colour: seriesColour(i), isStep: isWanted(series), line };
    });
    this.chart.draw(traces, fromMs, toMs);
    const points = traces.reduce((sum, trace) => sum + trace.line.points, 0);
    setAttr(this.plot, "data-points", String(points));
    this.empty.hidden = points > 0 || !this.failure.hidden;
    if (points === 0) setText(this.empty, this.hidden.size === this.series.length ? "All lines are hidden" : `No readings in ${this.window.fixed ? "this time" : `the last ${this.window.label()}`}`);
    setAttr(this.plot, "data-last", Number.isNaN(traces[0].line.last) ? "" : String(traces[0].line.last));
    const now = Date.now();
    if (now - this.tableAt < 2_000) return;
    this.tableAt = now;
    setAttr(this.plot, "aria-label", this.#summary(traces));
    this.#fillTable();
  }

  #summary(traces) {
    const parts = traces
      .filter(({ line }) => line.points > 0)
      .map(({ name, unit, precision, line }) => {
        const number = (value) => `${formatNumber(value, precision)}${unit ? ` ${unit}` : ""}`;
        return `${name}: now ${number(line.last)}, lowest ${number(line.low)}, highest ${number(line.high)}`;
      });
    return `Chart of the last ${this.window.label()}. ${parts.join(". ")}`;
  }

  /** The newest readings, newest first. Costs nothing while it is closed. */
  #fillTable() {
    if (!this.details.open) return;
    const { fromMs, toMs } = this.window.span();
    const head = el("tr", {}, el("th", { text: "Time", scope: "col" }), ...this.series.map((one) => el("th", { text: one.name, scope: "col" })));
    const rings = this.series.map((one) => this.context.store.history.get(one.id));
    const times = new Set();
    for (const ring of rings) {
      for (let i = (ring?.length ?? 0) - 1, n = 0; i >= 0 && n < TABLE_ROWS; i--) {
        if (ring.time(i) > toMs) continue;
        if (ring.time(i) < fromMs) break;
        times.add(ring.time(i));
        n++;
      }
    }
    const rows = [...times].sort((a, b) => b - a).slice(0, TABLE_ROWS).map((time) => el("tr", {},
      el("th", { text: formatTime(time), scope: "row" }),
      ...rings.map((ring, i) => el("td", { text: valueAt(ring, time, this.series[i].precision) }))));
    this.table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
  }
}

function title(series, unit) {
  const names = series.length > 2 ? `${series[0].name} and ${series.length - 1} more` : series.map((one) => one.name).join(", ");
  return unit ? `${names} (${unit})` : names;
}

function valueAt(ring, time, precision) {
  const at = ring?.lowerBound(time) ?? 0;
  return ring && at < ring.length && ring.time(at) === time ? formatNumber(ring.value(at), precision) : "";
}
