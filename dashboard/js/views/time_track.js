// The track of the time bar: the playhead, which is a slider, and the stretch of time under it.

import { drawTrack, PAD } from "../draw/track.js";
import { el, setAttr, setText } from "../dom.js";
import { formatInstant, formatTime } from "../format.js";
import { crowd, momentOf, place, wordsOf } from "../happenings.js";
import { token } from "../theme.js";
import { HOUR_MS, ticks, TrackWindow } from "../track_window.js";

const TICK_WIDTH = 84;
const MARK_WIDTH = 12;
const NEAR = 7; // pixels: who clicks a mark wants that very moment
const SLOP = 4; // pixels that a finger may slip in a click
const WHEEL_STEP = 1.25;
const TOLD_EVENTS = 4; // in the tip
const HELP = "Arrow keys, Page Up and Page Down move through time, Home goes to where the history begins, End to now, Space plays and pauses.";
const STRONG = new Set(["day", "month", "year"]);
const LIVE_EDGE = 6; // pixels from the right end that mean now
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export class TimeTrack {
  /**
   * @param {import("../main.js").Context} context
   * @param {import("../event_feed.js").EventFeed} feed
   * @param {{moment: () => number|null, seek: (ms: number) => void, grab: () => void, release: () => void,
   *   live: () => void, moved: () => void, keydown: (event: KeyboardEvent) => void}} hands moment: null while live;
   *   grab and release: of the playhead; moved: the window has
   */
  constructor(context, feed, hands) {
    this.context = context;
    this.feed = feed;
    this.hands = hands;
    this.window = new TrackWindow();
    this.deviceId = null;
    this.marks = [];
    this.hand = null; // what a pointer is doing
    this.canvas = el("canvas.track-canvas", { "aria-hidden": "true" });
    this.playhead = el("div.playhead", {
      role: "slider",
      tabindex: "0",
      "aria-label": "Moment shown",
      "aria-describedby": "playhead-help",
      "data-testid": "playhead",
      onkeydown: (event) => hands.keydown(event),
    }, el("span.playhead-grip", { "aria-hidden": "true" }));
    this.help = el("p.visually-hidden", { id: "playhead-help", text: HELP });
    this.tip = el("div.track-tip", { hidden: true, "aria-hidden": "true" });
    this.element = el("div.track", {
      "data-testid": "track",
      onpointerdown: (event) => this.#down(event),
      onpointermove: (event) => this.#move(event),
      onpointerup: (event) => this.#up(event),
      onpointercancel: () => this.#cancel(),
      onpointerleave: () => (this.tip.hidden = true),
    }, this.canvas, this.playhead, this.help, this.tip);
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.painted = context.scheduler.add(this.element, () => this.#paint(), 40);
    this.width = 0;
    new ResizeObserver(([entry]) => {
      this.width = Math.max(1, entry.contentRect.width - 2 * PAD);
      this.painted.invalidate();
    }).observe(this.element);
  }

  /** @returns {number} of now, by the server */
  get nowMs() {
    return this.context.clock.now();
  }

  /** @returns {{fromMs: number, toMs: number}} */
  range() {
    return this.window.range(this.nowMs);
  }

  /** @returns {number} what stays in view when the stretch changes */
  get centreMs() {
    return this.hands.moment() ?? this.nowMs;
  }

  /** @param {number} factor above 1: to see more */
  zoom(factor) {
    this.#moved(() => this.window.zoom(factor, this.centreMs, this.nowMs));
  }

  /** @param {number} spanMs */
  choose(spanMs) {
    this.#moved(() => this.window.choose(spanMs, this.centreMs, this.nowMs));
  }

  /**
   * The moment that is shown has moved: have it in view.
   * @param {boolean} isPlayed it moved by itself: then who looks elsewhere on the track is left alone
   */
  follow(isPlayed) {
    const moment = this.hands.moment();
    if (this.hand || moment === this.followedMs) return;
    const { fromMs, toMs } = this.range();
    const wasSeen = this.followedMs >= fromMs && this.followedMs <= toMs;
    this.followedMs = moment;
    if (isPlayed && !wasSeen) return;
    if (this.window.reveal(this.centreMs, this.nowMs)) this.hands.moved();
  }

  // ----- painting -----------------------------------------------------------------------------------------

  #paint() {
    if (this.width < 2) return;
    const { width, feed } = this;
    this.window.firstMs = feed.firstMs;
    const range = this.range();
    const { fromMs, toMs } = range;
    const perMs = width / (toMs - fromMs);
    feed.cover(range, this.deviceId);
    const moment = this.hands.moment();
    const x = ((moment ?? this.nowMs) - fromMs) * perMs;
    const isOut = x < -1 || x > width + 1;
    this.playhead.style.transform = `translateX(${PAD + Math.min(width, Math.max(0, x))}px)`;
    setAttr(this.playhead, "data-out", isOut ? (x < 0 ? "before" : "after") : null);
    this.#tell(moment);
    // The picture moves by whole pixels, so most seconds leave it as it is.
    const { theme } = document.documentElement.dataset;
    const key = [Math.round(fromMs * perMs), toMs - fromMs, width, Math.round(x), feed.version, theme, devicePixelRatio].join();
    if (key === this.key) return;
    this.key = key;
    this.marks = place(feed.events, fromMs, perMs, MARK_WIDTH);
    drawTrack(this.canvas, {
      width,
      playedX: x,
      knownX: feed.firstMs === null ? 0 : (feed.firstMs - fromMs) * perMs,
      ticks: ticks(fromMs, toMs, Math.floor(width / TICK_WIDTH))
        .map(({ ms, unit }) => ({ x: (ms - fromMs) * perMs, label: tickLabel(ms, unit), strong: STRONG.has(unit) })),
      marks: this.marks,
      crowd: crowd(this.marks, width / MARK_WIDTH),
      completeX: feed.completeFromMs === null ? 0 : (feed.completeFromMs - fromMs) * perMs,
    }, token);
  }

  /** What the slider says of itself. Seconds, because nobody can hear milliseconds. */
  #tell(moment) {
    const now = this.nowMs;
    setAttr(this.playhead, "aria-valuemin", String(Math.floor((this.feed.firstMs ?? now - HOUR_MS) / 1000)));
    setAttr(this.playhead, "aria-valuemax", String(Math.floor(now / 1000)));
    setAttr(this.playhead, "aria-valuenow", String(Math.floor((moment ?? now) / 1000)));
    setAttr(this.playhead, "aria-valuetext", moment === null ? "Live" : formatInstant(moment));
  }

  // ----- pointer ------------------------------------------------------------------------------------------

  #down(event) {
    if (event.button !== 0) return;
    const isPlayhead = this.playhead.contains(event.target);
    if (isPlayhead) this.playhead.focus({ preventScroll: true });
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    this.hand = { is: isPlayhead ? "playhead" : "click", startX: event.clientX, lastX: event.clientX, isMoved: false };
    setAttr(this.element, "data-hand", this.hand.is);
  }

  #move(event) {
    const { hand } = this;
    this.#showTip(event);
    if (!hand) return;
    if (!hand.isMoved && Math.abs(event.clientX - hand.startX) < SLOP) return;
    if (!hand.isMoved) {
      hand.isMoved = true;
      if (hand.is === "playhead") this.hands.grab();
      else setAttr(this.element, "data-hand", (hand.is = "pan"));
    }
    if (hand.is === "playhead") this.hands.seek(this.#timeAt(event));
    else this.#moved(() => this.window.pan((hand.lastX - event.clientX) * this.#msPerPixel(), this.nowMs));
    hand.lastX = event.clientX;
  }

  #up(event) {
    const { hand } = this;
    this.#cancel();
    if (!hand) return;
    if (hand.is === "playhead" && hand.isMoved) {
      if (this.window.endMs === null && this.#x(event) >= this.width - LIVE_EDGE) this.hands.live();
      else this.hands.release();
    } else if (hand.is === "click") {
      const mark = this.#markAt(event);
      this.hands.seek(mark ? momentOf(mark.events[0]) : this.#timeAt(event));
      this.hands.release();
      this.playhead.focus({ preventScroll: true });
    }
  }

  #cancel() {
    this.hand = null;
    setAttr(this.element, "data-hand", null);
  }

  #wheel(event) {
    if (event.ctrlKey) return; // the browser's own zoom
    event.preventDefault();
    const isAcross = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const delta = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY;
    if (isAcross) this.#moved(() => this.window.pan(delta * this.#msPerPixel(), this.nowMs));
    else this.#moved(() => this.window.zoom(WHEEL_STEP ** Math.max(-3, Math.min(3, delta / 100)), this.#timeAt(event), this.nowMs));
  }

  #moved(change) {
    change();
    this.painted.invalidate();
    this.hands.moved();
  }

  // ----- the tip ------------------------------------------------------------------------------------------

  #showTip(event) {
    if (event.pointerType === "touch" && !this.hand) return;
    const mark = this.hand?.is === "playhead" ? null : this.#markAt(event);
    const name = (id) => this.context.store.devices.get(id)?.info.name || id;
    const told = mark?.events.slice(0, TOLD_EVENTS) ?? [];
    const rest = (mark?.events.length ?? 0) - told.length;
    const lines = told.map((one) => el("span.track-tip-line", { text: `${formatTime(one.timeMs)}  ${wordsOf(one, name)}` }));
    if (rest > 0) lines.push(el("span.track-tip-line", { text: `and ${rest} more` }));
    const isUnknown = this.feed.completeFromMs !== null && this.#timeAt(event) < this.feed.completeFromMs;
    if (isUnknown && !mark) lines.push(el("span.track-tip-line", { text: "Too many events to mark. Zoom in to see them." }));
    const time = el("span.track-tip-time");
    setText(time, formatInstant(this.hand?.is === "playhead" ? this.#timeAt(event) : told[0]?.timeMs ?? this.#timeAt(event)));
    this.tip.replaceChildren(time, ...lines);
    this.tip.hidden = false;
    const half = this.tip.offsetWidth / 2;
    const x = Math.min(this.width + PAD - half, Math.max(half - PAD, this.#x(event)));
    this.tip.style.transform = `translateX(${PAD + x - half}px)`;
  }

  #x(event) {
    return event.clientX - this.element.getBoundingClientRect().left - PAD;
  }

  #msPerPixel() {
    const { fromMs, toMs } = this.range();
    return (toMs - fromMs) / this.width;
  }

  #timeAt(event) {
    const { fromMs, toMs } = this.range();
    const ms = fromMs + Math.min(1, Math.max(0, this.#x(event) / this.width)) * (toMs - fromMs);
    return Math.round(Math.min(this.nowMs, Math.max(this.feed.firstMs ?? -Infinity, ms)));
  }

  #markAt(event) {
    const x = this.#x(event);
    const near = this.marks.filter((mark) => Math.abs(mark.x - x) <= NEAR);
    return near.sort((a, b) => Math.abs(a.x - x) - Math.abs(b.x - x))[0] ?? null;
  }
}

function tickLabel(ms, unit) {
  const date = new Date(ms);
  if (unit === "second") return formatTime(ms);
  if (unit === "minute") return formatTime(ms).slice(0, 5);
  if (unit === "year") return String(date.getFullYear());
  return unit === "month" ? `${MONTHS[date.getMonth()]} ${date.getFullYear()}` : `${date.getDate()} ${MONTHS[date.getMonth()]}`;
}
