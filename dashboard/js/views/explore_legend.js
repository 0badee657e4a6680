// The legend of the Explore page: every series with its value under the cursor and its statistics, as a table.

import { el, setAttr, setChildren, setText } from "../dom.js";
import { formatCount, formatMoment, formatNumber, formatTime, formatValue } from "../format.js";
import { decode } from "../model.js";
import { deviceHref } from "../route.js";

const BEFORE_WORDS = new Map([["day", "Day before"], ["week", "Week before"]]);

export class ExploreLegend {
  /** @param {{onToggle: (id: number) => void, onRemove: (id: number) => void}} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {Map<number, object>} */
    this.rows = new Map();
    this.moment = el("th", { scope: "col", "data-testid": "cursor-head" });
    this.before = el("th", { scope: "col" });
    const statistics = ["Smallest", "Largest", "Mean", "Readings"].map((text) => el("th", { scope: "col", text }));
    this.body = el("tbody");
    this.note = el("p.legend-note", { role: "status" });
    const head = el("tr", {}, el("th", { scope: "col", text: "Series" }), this.moment, this.before, ...statistics, el("th", { scope: "col" }, el("span.visually-hidden", { text: "Take away" })));
    this.table = el("table.explore-legend", { "data-testid": "legend" }, el("caption.visually-hidden", { text: "Picked series" }), el("thead", {}, head), this.body);
    this.element = el("div.explore-legend-box", {}, el("div.explore-legend-scroll", { tabindex: "0", role: "region", "aria-label": "Values and statistics" }, this.table), this.note);
  }

  /**
   * Rows, in order, and what does not depend on the cursor.
   * @param {{info: object, slot: number, isHidden: boolean}[]} series
   * @param {(id: number) => import("../archive.js").Statistics|undefined} statistics
   * @param {{isOld: boolean, error: Error|null, nowMs: number, compare: string}} how
   */
  update(series, statistics, { isOld, error, nowMs, compare }) {
    for (const [id, row] of this.rows) {
      if (series.some(({ info }) => info.id === id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    this.before.hidden = compare === "none";
    setText(this.before, BEFORE_WORDS.get(compare) ?? "");
    setChildren(this.body, series.map(({ info, slot, isHidden }) => {
      const row = this.rows.get(info.id) ?? this.#row(info);
      setText(row.name, info.name);
      setText(row.device, info.device);
      setAttr(row.device, "href", deviceHref(info.deviceId));
      setAttr(row.swatch, "data-slot", String(slot + 1));
      setAttr(row.swatch, "data-kind", info.kind);
      setAttr(row.toggle, "aria-pressed", String(!isHidden));
      setAttr(row.remove, "aria-label", `Take away ${info.label}`);
      row.before.hidden = compare === "none";
      this.#statistics(row, info, statistics(info.id), nowMs);
      return row.element;
    }));
    this.table.toggleAttribute("data-old", isOld);
    this.note.hidden = error === null;
    if (error) setText(this.note, `The statistics could not be loaded. ${error.message}`);
  }

  /**
   * What stands under the cursor.
   * @param {string} head
   * @param {(id: number) => {now: {timeMs: number, value: number}|null, before: {timeMs: number, value: number}|null}} at
   */
  point(head, at) {
    setText(this.moment, head);
    for (const [id, row] of this.rows) {
      const { now, before } = at(id);
      setText(row.now, valueText(row.info(), now));
      setAttr(row.now, "title", now ? formatTime(now.timeMs) : null);
      setText(row.before, valueText(row.info(), before));
    }
  }

  /** @param {(id: number) => object} info what is known of a series now */
  useInfo(info) {
    this.info = info;
  }

  #row({ id }) {
    const swatch = el("span.explore-swatch", { "aria-hidden": "true" });
    const name = el("span.legend-name");
    const toggle = el("button.legend-item", { type: "button", title: "Show or hide this series", onclick: () => this.actions.onToggle(id) }, swatch, name);
    const device = el("a.legend-device");
    const [now, before, least, most, mean, count] = Array.from({ length: 6 }, () => el("td"));
    const remove = el("button.legend-remove", { type: "button", text: "×", onclick: () => this.actions.onRemove(id) });
    now.classList.add("legend-value");
    before.classList.add("legend-value");
    const element = el("tr", { "data-series-id": String(id) }, el("th", { scope: "row" }, el("div.legend-series", {}, toggle, device)), now, before, least, most, mean, count, el("td", {}, remove));
    const row = { element, swatch, name, toggle, device, now, before, least, most, mean, count, remove, info: () => this.info(id) };
    this.rows.set(id, row);
    return row;
  }

  #statistics(row, info, told, nowMs) {
    const isNumber = info.kind === "number";
    extreme(row.least, isNumber && told?.count ? valueText(info, { value: told.min }) : "", told?.minTimeMs, nowMs);
    extreme(row.most, isNumber && told?.count ? valueText(info, { value: told.max }) : "", told?.maxTimeMs, nowMs);
    let mean = "";
    if (isNumber && told?.count) mean = `${formatNumber(told.mean, meanPrecision(info))}${info.unit ? ` ${info.unit}` : ""}`;
    setText(row.mean, mean);
    setText(row.count, told ? formatCount(told.count) : "");
  }
}

/** A mean of whole numbers is none itself. */
const meanPrecision = ({ precision }) => (Number.isInteger(precision) ? precision + 1 : null);

function extreme(cell, text, timeMs, nowMs) {
  const when = text && Number.isFinite(timeMs) ? formatMoment(timeMs, nowMs) : "";
  const key = `${text} ${when}`;
  if (cell.__text === key) return;
  cell.__text = key;
  cell.replaceChildren(text, ...(when ? [el("span.legend-when", { text: when })] : []));
}

function valueText(info, reading) {
  if (!reading) return "–";
  const text = formatValue(info, decode(info, reading.value));
  return info.unit && !Number.isNaN(reading.value) ? `${text} ${info.unit}` : text;
}
