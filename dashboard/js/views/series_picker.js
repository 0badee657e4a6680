// Choosing series: a search over every metric of every device, by keyboard or hand.

import { el, setAttr, setText } from "../dom.js";
import { formatValue, plural } from "../format.js";
import { MAX_SERIES } from "./explore_state.js";

const MAX_OPTIONS = 60; // what is shown; the search looks through all
let pickers = 0;

export class SeriesPicker {
  /**
   * @param {import("../store.js").Store} store
   * @param {{isPicked: (id: number) => boolean, count: () => number, onToggle: (id: number) => void}} picks
   */
  constructor(store, picks) {
    this.store = store;
    this.picks = picks;
    this.index = null; // built when first needed, thrown away when the fleet changes
    this.found = [];
    this.active = -1;
    const id = `series-picker-${pickers++}`;
    this.list = el("ul.picker-list", { id, role: "listbox", "aria-label": "Metrics", "aria-multiselectable": "true" });
    this.note = el("p.picker-note", { role: "status" });
    this.popup = el("div.picker-popup", { hidden: true }, this.list, this.note);
    this.input = el("input.search.picker-input", {
      type: "search",
      role: "combobox",
      placeholder: "Add a metric: device, area, name, unit",
      "aria-label": "Search metrics to add",
      "aria-controls": id,
      "aria-expanded": "false",
      "aria-autocomplete": "list",
      "aria-keyshortcuts": "/",
      "data-testid": "picker",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.#search(),
      onfocus: () => this.#search(),
      onclick: () => this.popup.hidden && this.#search(),
      onkeydown: (event) => this.#key(event),
    });
    this.element = el("div.picker", { onfocusout: (event) => this.element.contains(event.relatedTarget) || this.close() },
      el("div.search-box", {}, this.input, el("kbd", { text: "/", "aria-hidden": "true" })), this.popup);
    // The field keeps the focus while options are clicked.
    this.popup.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  close() {
    this.popup.hidden = true;
    this.active = -1;
    setAttr(this.input, "aria-expanded", "false");
    setAttr(this.input, "aria-activedescendant", null);
  }

  /** Devices or series came, went or were renamed. */
  forget() {
    this.index = null;
  }

  /** What is picked has changed. */
  update() {
    if (!this.popup.hidden) this.#show();
  }

  #build() {
    const index = [];
    for (const series of this.store.series.values()) {
      if (series.kind === "unknown") continue;
      const info = this.store.devices.get(series.deviceId)?.info;
      if (!info) continue;
      const device = info.name || series.deviceId;
      const words = [device, series.deviceId, info.area, info.model, series.name, series.metric, series.unit];
      index.push({ series, device, area: info.area ?? "", haystack: words.join("\n").toLowerCase() });
    }
    return index.sort((a, b) => names.compare(a.device, b.device));
  }

  #search() {
    this.index ??= this.#build();
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.found = this.index.filter((one) => words.every((word) => one.haystack.includes(word)));
    this.active = words.length && this.found.length ? 0 : -1;
    this.#show();
  }

  #show() {
    const isFull = this.picks.count() >= MAX_SERIES;
    const shown = this.found.slice(0, MAX_OPTIONS);
    this.list.replaceChildren(...shown.map((one, i) => this.#option(one, i, isFull)));
    const rest = this.found.length - shown.length;
    let note = rest > 0 ? `${plural(rest, "more metric")}: type more of a name` : "";
    if (!this.found.length) note = this.store.series.size ? "No metric matches." : "No metrics are known yet.";
    if (isFull) note = `${MAX_SERIES} series are picked: take one away to add another.`;
    setText(this.note, note);
    this.popup.hidden = false;
    setAttr(this.input, "aria-expanded", "true");
    this.#activate(Math.min(this.active, shown.length - 1));
  }

  #option({ series, device, area }, i, isFull) {
    const isPicked = this.picks.isPicked(series.id);
    return el("li.picker-option", {
      id: `${this.list.id}-${i}`,
      role: "option",
      "aria-selected": String(isPicked),
      "aria-disabled": isFull && !isPicked ? "true" : null,
      "data-series-id": String(series.id),
      onclick: () => this.#toggle(i),
    }, el("span.picker-check", { "aria-hidden": "true" }), el("span.picker-metric", { text: series.name }),
    el("span.picker-device", { text: area ? `${device} · ${area}` : device }),
    el("span.picker-value", { text: `${formatValue(series, series.value)}${series.unit && series.value !== null ? ` ${series.unit}` : ""}` }));
  }

  #toggle(i) {
    const one = this.found[i];
    if (!one || (this.picks.count() >= MAX_SERIES && !this.picks.isPicked(one.series.id))) return;
    this.active = i;
    this.picks.onToggle(one.series.id);
    this.#show();
  }

  #activate(i) {
    this.list.children[this.active]?.removeAttribute("data-active");
    this.active = i;
    const option = this.list.children[i];
    option?.setAttribute("data-active", "");
    option?.scrollIntoView({ block: "nearest" });
    setAttr(this.input, "aria-activedescendant", option?.id ?? null);
  }

  #key(event) {
    const last = this.list.children.length - 1;
    if (event.key === "Escape" && !this.popup.hidden) {
      event.stopPropagation();
      this.close();
    } else if (event.key === "Enter" && !this.popup.hidden) {
      this.#toggle(this.active);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (this.popup.hidden) this.#search();
      else this.#activate(event.key === "ArrowDown" ? Math.min(last, this.active + 1) : Math.max(0, this.active - 1));
    } else {
      return;
    }
    event.preventDefault();
  }
}

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
