// States over time: one bar for each boolean or text metric.

import { gapLimit, typicalInterval } from "../decimate.js";
import { el, setAttr, setText } from "../dom.js";
import { drawStrip, runs } from "../draw/strip.js";
import { formatTime, formatValue } from "../format.js";
import { token } from "../theme.js";
import { stateLook } from "./state_look.js";

export class StripPanel {
  /**
   * @param {import("../model.js").Series[]} series booleans and texts
   * @param {import("../main.js").Context} context
   * @param {import("./time_window.js").TimeWindow} timeWindow
   */
  constructor(series, context, timeWindow) {
    this.context = context;
    this.window = timeWindow;
    this.strips = series.map((one) => {
      const canvas = el("canvas.strip", { role: "img", "data-testid": "strip", "data-metric": one.metric });
      return { series: one, canvas, row: el("div.strip-row", {}, el("span.strip-name", { text: one.name, title: one.metric }), canvas) };
    });
    this.from = el("span");
    this.to = el("span");
    this.element = el("section.chart-panel.chart-panel-wide", {},
      el("header.chart-head", {}, el("h3", { text: "States" })),
      el("div.strips", {}, ...this.strips.map(({ row }) => row), el("div.strip-axis", { "aria-hidden": "true" }, this.from, this.to)));
    this.painted = context.scheduler.add(this.element, () => this.#paint(), 500);
  }

  remove() {
    this.painted.remove();
    this.element.remove();
  }

  #paint() {
    const { fromMs, toMs } = this.window.span();
    setText(this.from, formatTime(fromMs));
    setText(this.to, formatTime(toMs));
    const style = { labels: true, empty: token("--line"), font: `11px ${token("--font")}` };
    const { history } = this.context.store;
    const mergedMs = (from, to) => history.mergedMs(from, to);
    for (const { series, canvas } of this.strips) {
      const ring = history.get(series.id);
      const parts = ring ? runs(ring, fromMs, toMs, gapLimit(typicalInterval(ring)), mergedMs) : [];
      drawStrip(canvas, parts, fromMs, toMs, (value) => stateLook(series, value), style);
      setAttr(canvas, "aria-label", `${series.name}: now ${formatValue(series, series.value)}, ${Math.max(0, parts.length - 1)} changes shown`);
    }
  }
}
