// The Explore page: any metrics of any devices over any time, on one picture that a link opens again.

import { el, setAttr, setText } from "../dom.js";
import { formatMoment } from "../format.js";
import { formatSpan, isAtEnd, moved, scaled } from "../spans.js";
import { ChartState } from "./chart_state.js";
import { ExploreControls } from "./explore_controls.js";
import { ExploreCursor } from "./explore_cursor.js";
import { ExploreExport } from "./explore_export.js";
import { ExploreLegend } from "./explore_legend.js";
import { ExploreLines } from "./explore_lines.js";
import { ExploreNote } from "./explore_note.js";
import { ExplorePlots } from "./explore_plots.js";
import { exploreHref, MAX_SERIES, parseState } from "./explore_state.js";
import { SeriesPicker } from "./series_picker.js";
import { SpanStatistics } from "./span_statistics.js";

const REDRAW_MS = 500;
const SLOWEST_MS = 5_000;
const MAX_BACK = 30;

export class ExploreView {
  /**
   * @param {import("../main.js").Context} context
   * @param {URLSearchParams} params of the address
   */
  constructor(context, params) {
    this.context = context;
    this.state = parseState(params);
    /** @type {import("./explore_state.js").ExploreState["fixed"][]} spans before each zoom */
    this.before = [];
    this.lines = new ExploreLines(context, () => this.#soon());
    this.statistics = new SpanStatistics(() => this.#soon());
    this.#build();
    this.lines.pick(this.state.seriesIds);
  }

  get title() {
    const count = this.state.seriesIds.length;
    return count ? `Explore: ${this.lines.info(this.state.seriesIds[0]).label}${count > 1 ? ` and ${count - 1} more` : ""}` : "Explore";
  }

  mount(parent) {
    const { store, scheduler } = this.context;
    this.stops = [
      store.on("devices", () => this.#described()),
      store.on("readings", (ids) => this.lines.tails.take(this.state.seriesIds, ids) && !this.state.fixed && this.painted.invalidate()),
      store.on("connection", () => this.#connected()),
      store.on("rewound", () => this.#soon()),
    ];
    parent.replaceChildren(this.element);
    window.scrollTo(0, 0);
    this.painted = scheduler.add(this.element, () => this.#paint(), REDRAW_MS);
    document.addEventListener("keydown", this.onKey);
    this.#connected();
    this.#describeAll();
    this.heading.focus({ preventScroll: true });
  }

  unmount() {
    for (const stop of this.stops) stop();
    document.removeEventListener("keydown", this.onKey);
    this.painted.remove();
    this.lines.stop();
    this.statistics.stop();
    this.plots.remove();
    this.element.remove();
  }

  /** Another address of this page was opened. */
  update(params) {
    this.#set(parseState(params), { keepsAddress: true });
  }

  /** @returns {{fromMs: number, toMs: number}} what is shown */
  span() {
    if (this.state.fixed) return this.state.fixed;
    const toMs = this.context.clock.now();
    return { fromMs: toMs - this.state.lengthMs, toMs };
  }

  #build() {
    const { store } = this.context;
    this.heading = el("h1.explore-title", { text: "Explore", tabindex: "-1" });
    this.range = el("p.explore-range", { "data-testid": "range" });
    this.offline = el("span.badge.badge-warn", { hidden: true, "data-testid": "offline" });
    this.picker = new SeriesPicker(store, { isPicked: (id) => this.state.seriesIds.includes(id), count: () => this.state.seriesIds.length, onToggle: (id) => this.#toggle(id) });
    this.controls = new ExploreControls({
      onPreset: (lengthMs) => this.#show(null, lengthMs),
      onSpan: (span) => this.#show(span),
      onFollow: () => this.#show(this.state.fixed ? null : this.span()),
      onPan: (steps) => this.#pan(steps),
      onScale: (factor) => this.#show(scaled(this.span(), factor)),
      onBack: () => this.#zoom(null),
      onCompare: (compare) => this.#set({ ...this.state, compare }),
    });
    this.plots = new ExplorePlots((range) => this.#zoom(range), () => this.#soon());
    this.chartState = new ChartState(() => this.lines.refresh());
    this.stage = el("div.explore-stage", {
      tabindex: "0",
      role: "group",
      "aria-label": "Charts. Arrow keys move the cursor, with Shift through time; plus and minus zoom; Backspace goes back.",
      "data-testid": "stage",
      onkeydown: (event) => this.#stageKey(event),
    }, this.plots.element);
    this.cursor = new ExploreCursor(this.stage, () => this.#point());
    this.legend = new ExploreLegend({ onToggle: (id) => this.#hide(id), onRemove: (id) => this.#toggle(id) });
    this.legend.useInfo((id) => this.lines.info(id));
    this.export = new ExploreExport(() => ({ seriesIds: this.state.seriesIds, ...this.span() }), () => this.#picture());
    this.note = new ExploreNote(store, { onPick: (id) => this.#toggle(id), onShow: (span) => this.#show(span) });
    this.board = el("div.explore-board", {}, this.chartState.busy,
      el("div.explore-board-head", {}, this.range, this.export.element), this.chartState.problem,
      el("div.explore-area", {}, this.stage, this.note.nothing), this.legend.element);
    this.element = el("section.explore", { "data-testid": "explore" },
      el("div.explore-head", {}, this.heading, this.picker.element, this.offline), this.controls.element, this.note.empty, this.board);
    this.onKey = (event) => this.#pageKey(event);
  }

  // ----- what is shown ------------------------------------------------------------------------------------

  #set(state, { keepsAddress = false } = {}) {
    this.state = state;
    this.lines.pick(state.seriesIds);
    if (!keepsAddress) history.replaceState(history.state, "", exploreHref(state, location.hash));
    this.picker.update();
    this.#soon();
    this.context.titleChanged();
  }

  #show(fixed, lengthMs = fixed ? fixed.toMs - fixed.fromMs : this.state.lengthMs) {
    this.before.push([this.state.fixed, this.state.lengthMs]);
    this.before = this.before.slice(-MAX_BACK);
    this.#set({ ...this.state, fixed, lengthMs });
  }

  #zoom(range) {
    if (range) return this.#show(range);
    const [fixed, lengthMs] = this.before.pop() ?? [this.state.fixed, this.state.lengthMs];
    return this.#set({ ...this.state, fixed, lengthMs });
  }

  #pan(steps) {
    const to = moved(this.span(), steps);
    if (!isAtEnd(to, this.context.clock.now())) this.#show(to);
    else if (this.state.fixed) this.#show(null);
  }

  #toggle(id) {
    const { seriesIds } = this.state;
    const isPicked = seriesIds.includes(id);
    if (!isPicked && seriesIds.length >= MAX_SERIES) return;
    this.#set({ ...this.state, seriesIds: isPicked ? seriesIds.filter((one) => one !== id) : [...seriesIds, id] });
  }

  #hide(id) {
    if (!this.lines.hidden.delete(id)) this.lines.hidden.add(id);
    this.#soon();
  }

  // ----- painting -----------------------------------------------------------------------------------------

  #soon() {
    this.painted?.setPeriod(REDRAW_MS);
    this.painted?.invalidate();
  }

  #described() {
    this.picker.forget();
    this.#describeAll();
  }

  #describeAll() {
    this.context.titleChanged();
    this.#soon();
  }

  #connected() {
    const { lostAt, state } = this.context.store.connection;
    const isLost = state !== "live" && lostAt !== null;
    this.offline.hidden = !isLost;
    if (isLost) setText(this.offline, `Not connected: nothing new since ${formatMoment(lostAt, this.context.clock.now())}`);
    if (this.wasLost && !isLost) this.lines.refresh();
    this.wasLost = isLost;
  }

  #paint() {
    const span = this.span();
    const isEmpty = this.state.seriesIds.length === 0;
    this.note.showEmpty(isEmpty);
    this.board.hidden = isEmpty;
    if (!(span.toMs > span.fromMs)) return; // a replay that has not begun
    this.controls.update(this.state, span, { canGoBack: this.before.length > 0, isPast: this.context.isPast });
    setText(this.range, formatSpan(span.fromMs, span.toMs));
    if (isEmpty) return;
    const { columns } = this.plots;
    const drawn = this.lines.look(this.state, { ...span, columns });
    this.statistics.want(this.state.seriesIds.filter((id) => !this.lines.past.unknown.has(id)), span, this.state.fixed === null);
    this.painted.setPeriod(Math.min(SLOWEST_MS, Math.max(REDRAW_MS, this.state.fixed ? 0 : (span.toMs - span.fromMs) / columns)));
    const { points } = this.plots.draw(drawn, span);
    this.chartState.show(this.lines.isLoading, this.lines.error);
    const isNothing = points === 0 && !this.lines.isLoading && !this.lines.error && drawn.some((one) => !one.isHidden);
    this.note.showNothing(isNothing, span, this.context.clock.now());
    setAttr(this.stage, "data-points", String(points));
    this.cursor.place({ ...span, ...this.plots.box });
    const { isOld, error } = this.statistics;
    this.legend.update(drawn.map(({ info, isHidden }) => ({ info, isHidden, slot: this.lines.slots.get(info.id) })), (id) => this.statistics.get(id),
      { isOld, error, nowMs: this.context.clock.now(), compare: this.state.compare });
    this.#point();
  }

  #point() {
    const { timeMs } = this.cursor;
    const head = timeMs !== null ? formatMoment(timeMs, this.context.clock.now()) : this.state.fixed ? "At the end" : "Now";
    this.legend.point(head, (id) => (timeMs === null ? this.lines.last(id) : this.lines.at(id, timeMs)));
  }

  async #picture() {
    const lines = this.lines.drawn.filter((one) => !one.isHidden).map(({ info, colour }) => ({ label: info.unit ? `${info.label} (${info.unit})` : info.label, colour }));
    return { ...(await this.plots.pictures()), lines };
  }

  // ----- keyboard -----------------------------------------------------------------------------------------

  #stageKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    if (direction && event.shiftKey) this.#pan(direction);
    else if (direction) this.cursor.step(direction, event.repeat);
    else if (event.key === "+" || event.key === "=") this.#show(scaled(this.span(), 0.5));
    else if (event.key === "-") this.#show(scaled(this.span(), 2));
    else if (event.key === "Backspace") this.#zoom(null);
    else if (event.key === "Escape") this.cursor.move(null);
    else return;
    event.preventDefault();
  }

  #pageKey(event) {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.picker.focus();
  }
}
