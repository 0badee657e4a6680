// The buttons and words of the time bar. What they do is the bar's.

import { el, setAttr, setText } from "../dom.js";
import { formatDuration, formatInstant, zoneName } from "../format.js";
import { SPEEDS } from "../replay.js";
import { SPANS } from "../track_window.js";
import { icon } from "./time_icons.js";

const CUSTOM = "custom"; // a stretch of time that nobody chose from the list

export class TimeControls {
  /**
   * @param {{play: () => void, step: (direction: 1|-1) => void, jump: (direction: 1|-1) => void, live: () => void,
   *   speed: (speed: number) => void, span: (ms: number) => void, zoom: (isOut: boolean) => void, more: () => boolean}} hands
   *   more: unfolds what has no room on a phone, or folds it; whether it is unfolded now
   * @param {HTMLElement} share
   */
  constructor(hands, share) {
    this.play = button("pause", "Pause", hands.play, { "data-testid": "play" });
    const forward = button("forward", "To the next reading", () => hands.step(1), { "data-testid": "step-forward" });
    const next = button("next", "To the next event", () => hands.jump(1), { "data-testid": "next-event" });
    this.forwards = [forward, next];
    this.speed = el("select.bar-speed", { "aria-label": "Speed", "data-testid": "speed", onchange: () => hands.speed(Number(this.speed.value)) },
      ...SPEEDS.map((speed) => el("option", { value: speed, text: `${speed}×` })));
    this.custom = el("option", { value: CUSTOM, hidden: true });
    const chooseSpan = () => this.span.value !== CUSTOM && hands.span(Number(this.span.value));
    this.span = el("select.bar-span", { "aria-label": "Time shown on the track", "data-testid": "track-span", onchange: chooseSpan },
      ...SPANS.map(({ ms, label }) => el("option", { value: ms, text: label })), this.custom);
    this.live = el("button.bar-live", { type: "button", "data-testid": "live", onclick: hands.live },
      el("span.bar-live-dot", { "aria-hidden": "true" }), el("span", { text: "Live" }));
    const unfold = () => setAttr(this.more, "aria-expanded", String(hands.more()));
    this.more = button("more", "More controls", unfold, { class: "bar-button bar-more", "aria-expanded": "false" });
    this.date = el("span.bar-date");
    this.time = el("span.bar-time");
    this.zone = el("span.bar-zone");
    this.state = el("span.bar-state");
    share.classList.add("bar-share");
    this.element = el("div.bar-controls", {},
      el("div.bar-group.bar-steps", {},
        button("previous", "To the event before", () => hands.jump(-1), { "data-testid": "previous-event" }),
        button("back", "To the reading before", () => hands.step(-1), { "data-testid": "step-back" }),
        this.play, forward, next),
      el("div.bar-moment", { "data-testid": "moment" },
        el("span.bar-clock", {}, this.date, " ", this.time, " ", this.zone), this.state),
      this.more,
      el("div.bar-group.bar-tune", {}, this.speed,
        el("div.bar-zoom", {}, button("minus", "Show more time", () => hands.zoom(true)), this.span, button("plus", "Show less time", () => hands.zoom(false)))),
      el("div.bar-group.bar-end", {}, share, this.live));
  }

  /**
   * @param {boolean} isPast
   * @param {boolean} isPaused
   * @param {number} speed
   */
  show(isPast, isPaused, speed) {
    const does = isPast && isPaused ? "play" : "pause";
    if (this.play.dataset.does !== does) {
      this.play.dataset.does = does;
      this.play.replaceChildren(icon(does));
    }
    const label = !isPast ? "Pause at this moment" : isPaused ? "Play" : "Pause";
    setAttr(this.play, "aria-label", label);
    setAttr(this.play, "title", label);
    setAttr(this.live, "aria-pressed", String(!isPast));
    this.speed.value = String(isPast ? speed : 1);
    this.speed.disabled = !isPast;
    for (const one of this.forwards) one.disabled = !isPast;
  }

  /** @param {number} spanMs how much time the track shows */
  showSpan(spanMs) {
    const isKnown = SPANS.some(({ ms }) => ms === spanMs);
    if (!isKnown) setText(this.custom, formatDuration(spanMs));
    this.custom.hidden = isKnown;
    this.span.value = isKnown ? String(spanMs) : CUSTOM;
  }

  /**
   * @param {number} ms the moment shown
   * @param {string} state what is done with it
   */
  showMoment(ms, state) {
    const words = formatInstant(ms).split(" ");
    setText(this.time, words.pop() ?? "");
    setText(this.date, words.join(" "));
    setText(this.zone, zoneName(ms));
    setText(this.state, state);
  }
}

function button(name, label, onclick, props = {}) {
  return el("button.bar-button", { type: "button", "aria-label": label, title: label, onclick: () => onclick(), ...props }, icon(name));
}
