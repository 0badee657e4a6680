// One value as a fleet row shows it: name, number, unit, age.

import { el, setAttr, setText } from "../dom.js";
import { formatAge, formatValue } from "../format.js";
import { freshness } from "../metrics.js";

const QUIET_MS = 5_000;

export class ValueCell {
  constructor() {
    this.label = el("span.cell-label");
    this.age = el("span.cell-age");
    this.value = el("span.cell-value", { "data-role": "value" });
    this.unit = el("span.cell-unit");
    this.element = el("div.cell", { "data-testid": "metric" },
      el("div.cell-head", {}, this.label, this.age), el("div.cell-body", {}, this.value, this.unit));
  }

  /**
   * @param {import("../model.js").Series} series
   * @param {number} nowMs
   */
  update(series, nowMs) {
    const state = freshness(series, nowMs);
    setAttr(this.element, "data-metric", series.metric);
    setAttr(this.element, "data-kind", series.kind);
    setAttr(this.element, "data-freshness", state);
    setText(this.label, series.name);
    setText(this.value, formatValue(series, series.value));
    setText(this.unit, state === "bad" ? "" : series.unit);
    setText(this.age, this.#ageText(series, state, nowMs));
  }

  /** A value of just now has the row's own age; only what is older is told apart. */
  #ageText(series, state, nowMs) {
    if (state === "stale") return "retained";
    if (series.timeMs === null || Math.abs(nowMs - series.timeMs) < QUIET_MS) return "";
    return formatAge(series.timeMs, nowMs);
  }
}
