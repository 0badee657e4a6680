// What the Explore page says where it has nothing to show: nothing picked, nothing there, no history, no connection.

import { fetchSpan } from "../archive.js";
import { el, setText } from "../dom.js";
import { formatMoment } from "../format.js";
import { byImportance } from "../metrics.js";
import { MAX_SERIES } from "./explore_state.js";

const MAX_OFFERS = 6;

/**
 * Some series to begin with: the most telling one of each of the first devices.
 * @param {import("../store.js").Store} store
 * @returns {{id: number, label: string}[]}
 */
export function offers(store) {
  const found = [];
  for (const device of store.devices.values()) {
    const first = byImportance(device.series.values()).find((one) => one.kind === "number");
    if (first) found.push({ id: first.id, label: `${device.info.name || device.id} · ${first.name}` });
    if (found.length === MAX_OFFERS) break;
  }
  return found;
}

export class ExploreNote {
  /**
   * @param {import("../store.js").Store} store
   * @param {{onPick: (id: number) => void, onShow: (span: {fromMs: number, toMs: number}) => void}} actions
   */
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.offers = el("div.explore-offers");
    this.empty = el("div.explore-empty", { hidden: true, "data-testid": "explore-empty" },
      el("h2", { text: "Nothing picked yet" }),
      el("p", { text: `Search above for up to ${MAX_SERIES} metrics of any devices and see them over any time, on one picture.` }), this.offers);
    this.words = el("p");
    this.show = el("button.button", { type: "button", text: "Show the last there is", onclick: () => this.#showLast() });
    this.nothing = el("div.explore-nothing", { hidden: true, role: "status", "data-testid": "explore-nothing" }, this.words, this.show);
    this.span = null;
    this.asked = false;
    this.key = "";
  }

  /** @param {boolean} isEmpty nothing is picked */
  showEmpty(isEmpty) {
    this.empty.hidden = !isEmpty;
    if (!isEmpty) return;
    const found = offers(this.store);
    const key = JSON.stringify(found);
    if (key === this.key) return;
    this.key = key;
    this.offers.replaceChildren(...(found.length ? [el("span", { text: "For instance:" })] : []),
      ...found.map(({ id, label }) => el("button.button", { type: "button", text: label, onclick: () => this.actions.onPick(id) })));
  }

  /**
   * @param {boolean} isNothing there are no readings in the span
   * @param {{fromMs: number, toMs: number}} span
   * @param {number} nowMs
   */
  showNothing(isNothing, span, nowMs) {
    this.nothing.hidden = !isNothing;
    if (!isNothing) {
      this.asked = false;
      return;
    }
    if (!this.asked) void this.#ask();
    this.shown = span;
    this.nowMs = nowMs;
    const { firstMs = null, lastMs = null } = this.span ?? {};
    this.show.hidden = lastMs === null;
    const where = this.span === null ? "" : lastMs === null ? " The history is empty." : ` The history has readings from ${formatMoment(firstMs, nowMs)} to ${formatMoment(lastMs, nowMs)}.`;
    setText(this.words, `No readings in this span.${where}`);
  }

  async #ask() {
    this.asked = true;
    try {
      this.span = await fetchSpan();
    } catch {
      this.span = null; // the charts tell what is wrong
    }
    if (!this.nothing.hidden) this.showNothing(true, this.shown, this.nowMs);
  }

  /** As long a span as the one that is shown, at the end of what there is. */
  #showLast() {
    const length = this.shown.toMs - this.shown.fromMs;
    this.actions.onShow({ fromMs: this.span.lastMs - length * 0.95, toMs: this.span.lastMs + length * 0.05 });
  }
}
