// One device in the fleet: a shell from the start, filled when it first comes into view, repainted only while seen.

import { el, setAttr, setText } from "../dom.js";
import { drawSpark } from "../draw/sparkline.js";
import { formatAge } from "../format.js";
import { byImportance } from "../metrics.js";
import { deviceHref } from "../route.js";
import { token } from "../theme.js";
import { knownStatus, statusMark } from "./status.js";
import { ValueCell } from "./value_cell.js";

const MAX_CELLS = 5; // the rest is on the device's page

export class FleetRow {
  /**
   * @param {import("../model.js").Device} device
   * @param {import("../main.js").Context} context
   */
  constructor(device, context) {
    this.device = device;
    this.context = context;
    this.link = el("a.row-link", { href: deviceHref(device.id), tabindex: "-1" });
    this.name = el("h3.row-name", {}, this.link);
    this.element = el("li.row", { "data-testid": "device-row", "data-device-id": device.id }, this.name);
    this.cells = [];
    this.shown = [];
    this.haystack = "";
    this.isBuilt = false;
    this.refresh(device);
    this.painted = context.scheduler.add(this.element, () => this.#paint());
  }

  /** Take over what the server says of the device. */
  refresh(device) {
    this.device = device;
    const { info } = device;
    this.status = knownStatus(info.availability);
    setAttr(this.element, "data-status", this.status);
    setText(this.link, info.name || device.id);
    this.series = byImportance(device.series.values());
    const words = [info.name, device.id, info.area, info.model, info.manufacturer, info.convention];
    for (const series of this.series) words.push(series.metric, series.name);
    this.haystack = words.join("\n").toLowerCase();
    if (this.isBuilt) this.#arrange();
    this.painted?.invalidate();
  }

  invalidate() {
    this.painted.invalidate();
  }

  remove() {
    this.painted.remove();
    this.element.remove();
  }

  #build() {
    this.isBuilt = true;
    this.mark = statusMark();
    this.sub = el("span.row-sub");
    this.clock = el("span.badge.badge-warn", { text: "Clock wrong", title: "The device's clock is wrong; times are ours" });
    this.spark = el("canvas.row-spark", { "aria-hidden": "true" });
    this.values = el("div.row-values");
    this.seen = el("span.row-seen");
    this.head = el("div.row-head", {}, this.name, this.sub);
    this.element.append(this.mark, this.head, this.spark, this.values, this.seen);
    this.#arrange();
  }

  /** Text that changes seldom. */
  #arrange() {
    const { info } = this.device;
    this.mark.update(this.status);
    setText(this.sub, [info.area, info.model].filter(Boolean).join(" · ") || this.device.id);
    if (info.clock_suspect !== this.clock.isConnected) {
      if (info.clock_suspect) this.sub.after(this.clock);
      else this.clock.remove();
    }
    this.shown = this.series.slice(0, MAX_CELLS);
    while (this.cells.length < this.shown.length) {
      const cell = new ValueCell();
      this.cells.push(cell);
      this.values.append(cell.element);
    }
    while (this.cells.length > this.shown.length) this.cells.pop().element.remove();
    setAttr(this.element, "data-more", this.series.length > MAX_CELLS ? String(this.series.length - MAX_CELLS) : null);
    this.main = this.shown.find((series) => series.kind !== "text") ?? null;
  }

  #paint() {
    if (!this.isBuilt) this.#build();
    const now = this.context.clock.now();
    this.shown.forEach((series, i) => this.cells[i].update(series, now));
    setText(this.seen, this.device.lastSeenMs === null ? "never" : formatAge(this.device.lastSeenMs, now));
    if (!this.main?.spark) return;
    const from = now - this.context.store.sparkSpan(now);
    drawSpark(this.spark, this.main.spark, from, now, { line: token("--spark"), fill: token("--spark-fill") }, this.context.store.coarseMs);
  }
}
