// One metric on the device page: the value, how old it is, where it has been.

import { decimate } from "../decimate.js";
import { el, setAttr, setText } from "../dom.js";
import { drawLine } from "../draw/sparkline.js";
import { drawStrip, runs } from "../draw/strip.js";
import { formatAge, formatNumber, formatValue } from "../format.js";
import { freshness } from "../metrics.js";
import { token } from "../theme.js";
import { stateLook } from "./state_look.js";

const COLUMNS = 120;
const FRESHNESS_WORDS = new Map([["stale", "retained, not confirmed since"], ["aged", "silent for longer than usual"]]);

export class MetricTile {
  /**
   * @param {import("../model.js").Series} series
   * @param {import("../main.js").Context} context
   * @param {import("./device_past.js").DevicePast} past
   */
  constructor(series, context, past) {
    this.series = series;
    this.context = context;
    this.past = past;
    this.label = el("h3.tile-label");
    this.age = el("span.tile-age");
    this.value = el("span.tile-value", { "data-role": "value" });
    this.unit = el("span.tile-unit");
    this.range = el("span.tile-range");
    this.canvas = el("canvas.tile-spark", { "aria-hidden": "true" });
    this.element = el("li.tile", { "data-testid": "metric", "data-metric": series.metric },
      el("div.tile-head", {}, this.label, this.age),
      el("div.tile-body", {}, this.value, this.unit),
      this.canvas, this.range);
    this.painted = context.scheduler.add(this.element, () => this.#paint());
  }

  remove() {
    this.painted.remove();
    this.element.remove();
  }

  #paint() {
    const { series } = this;
    const now = this.context.clock.now();
    const state = freshness(series, now);
    setAttr(this.element, "data-kind", series.kind);
    setAttr(this.element, "data-freshness", state);
    setText(this.label, series.name);
    setAttr(this.label, "title", series.metric);
    setText(this.value, formatValue(series, series.value));
    setText(this.unit, state === "bad" ? "" : series.unit);
    setAttr(this.unit, "title", series.unitSource === "inferred" ? "The unit was concluded from the metric's name" : null);
    setText(this.age, state === "stale" && series.timeMs === null ? "retained" : formatAge(series.timeMs, now));
    setAttr(this.age, "title", FRESHNESS_WORDS.get(state) ?? null);
    this.#paintRange();
  }

  #paintRange() {
    const { kind, precision } = this.series;
    const view = this.past.look(kind === "unknown" ? [] : [this.series], COLUMNS);
    const { samples, gapMs, mergedMs, isWhole } = this.past.samples(this.series, view);
    if (!samples.length || kind === "unknown") return setText(this.range, "");
    const { fromMs, toMs } = view;
    if (kind === "boolean" || kind === "text") {
      const parts = runs(samples, fromMs, toMs, gapMs, mergedMs);
      drawStrip(this.canvas, parts, fromMs, toMs, (value) => stateLook(this.series, value), { empty: token("--line"), labels: false });
      return setText(this.range, kind === "boolean" && isWhole ? onShare(parts) : "");
    }
    const line = decimate(samples, fromMs, toMs, COLUMNS, gapMs, mergedMs);
    drawLine(this.canvas, line, fromMs, toMs, { line: token("--spark") });
    return setText(this.range, line.low <= line.high && isWhole ? range(line, precision) : "");
  }
}

function range({ low, high }, precision) {
  const [from, to] = [formatNumber(low, precision), formatNumber(high, precision)];
  if (from === to) return low === high ? `constant at ${from}` : `about ${from}`;
  return `${from} to ${to}`;
}

function onShare(parts) {
  let on = 0;
  let known = 0;
  for (const { from, to, value } of parts) {
    if (Number.isNaN(value)) continue;
    known += to - from;
    if (value !== 0) on += to - from;
  }
  return known > 0 ? `On ${Math.round((100 * on) / known)} % of the time` : "";
}
