// States over time: one bar for each boolean or text metric.

import { el, setAttr, setText } from "../dom.js";
import { drawStrip, runs } from "../draw/strip.js";
import { formatMoment, formatValue } from "../format.js";
import { token } from "../theme.js";
import { ChartState } from "./chart_state.js";
import { stateLook } from "./state_look.js";

const REDRAW_MS = 500;

export class StripPanel {
  /**
   * @param {import("../model.js").Series[]} series booleans and texts
   * @param {import("../main.js").Context} context
   * @param {import("./time_window.js").TimeWindow} timeWindow
   * @param {import("./device_past.js").DevicePast} past
   */
  constructor(series, context, timeWindow, past) {
    this.context = context;
    this.window = timeWindow;
    this.past = past;
    this.state = new ChartState(() => past.retry());
    this.strips = series.map((one) => {
      const canvas = el("canvas.strip", { role: "img", "data-testid": "strip", "data-metric": one.metric });
      return { series: one, canvas, row: el("div.strip-row", {}, el("span.strip-name", { text: one.name, title: one.metric }), canvas) };
    });
    this.from = el("span");
    this.to = el("span");
    this.element = el("section.chart-panel.chart-panel-wide", {}, this.state.busy,
      el("header.chart-head", {}, el("h3", { text: "States" })), this.state.problem,
      el("div.strips", {}, ...this.strips.map(({ row }) => row), el("div.strip-axis", { "aria-hidden": "true" }, this.from, this.to)));
    this.painted = context.scheduler.add(this.element, () => this.#paint(), REDRAW_MS);
  }

  /** Something else is to be shown. */
  refresh() {
    this.painted.invalidate();
  }

  remove() {
    this.painted.remove();
    this.element.remove();
  }

  #paint() {
    const columns = Math.max(60, this.strips[0].canvas.clientWidth);
    const view = this.past.look(this.strips.map((strip) => strip.series), columns);
    const { fromMs, toMs } = view;
    this.state.show(view.needsPast && this.past.isLoading, view.needsPast ? this.past.error : null);
    const now = this.context.clock.now();
    setText(this.from, formatMoment(fromMs, now));
    setText(this.to, formatMoment(toMs, now));
    const style = { labels: true, empty: token("--line"), font: `11px ${token("--font")}` };
    for (const { series, canvas } of this.strips) {
      const { samples, gapMs, mergedMs } = this.past.samples(series, view);
      const parts = runs(samples, fromMs, toMs, gapMs, mergedMs);
      drawStrip(canvas, parts, fromMs, toMs, (value) => stateLook(series, value), style);
      setAttr(canvas, "data-parts", String(parts.length));
      setAttr(canvas, "aria-label", `${series.name}: now ${formatValue(series, series.value)}, ${Math.max(0, parts.length - 1)} changes shown`);
    }
  }
}
