// What says, everywhere and without colour alone, that the page shows the past: a strip with its moment, and a frame.

import { el, setAttr, setText } from "../dom.js";
import { formatDuration, formatInstant, zoneName } from "../format.js";
import { icon } from "./time_icons.js";

const SPOKEN_APART_MS = 1_500; // while somebody drags, only where she stops is said

export class PastNotice {
  /**
   * @param {import("../main.js").Context} context of now
   * @param {import("../replay.js").Past} past
   * @param {import("../travel.js").Travel} travel
   */
  constructor(context, past, travel) {
    this.context = context;
    this.past = past;
    this.moment = el("strong.past-moment", { "data-testid": "past-moment" });
    this.ago = el("span.past-ago");
    this.problem = el("span.past-problem");
    this.retry = el("button.button", { type: "button", text: "Try again", hidden: true, onclick: () => past.retry() });
    this.element = el("div.past-notice", { "data-testid": "past-notice", hidden: true },
      el("span.past-word", {}, icon("past"), el("span", { text: "The past" })),
      el("span.past-text", {}, this.moment, this.ago, this.problem), this.retry,
      el("button.button.past-back", { type: "button", text: "Back to live", "data-testid": "back-to-live", onclick: () => travel.live() }));
    this.frame = el("div.past-frame", { "aria-hidden": "true", hidden: true });
    this.voice = el("p.visually-hidden", { role: "status", "data-testid": "past-voice" });
    this.wasOn = false;
    this.timer = 0;
    past.on(() => this.update());
    this.painted = context.scheduler.add(this.element, () => this.#paint());
  }

  update() {
    const { past } = this;
    this.element.hidden = this.frame.hidden = !past.isOn;
    document.body.toggleAttribute("data-past", past.isOn);
    document.body.toggleAttribute("data-past-waiting", past.isWaiting && !past.problem);
    document.body.toggleAttribute("data-past-problem", past.isOn && past.problem !== "");
    setText(this.problem, past.problem ? `cannot be shown: ${past.problem}` : "");
    this.retry.hidden = !past.problem;
    this.#paint();
    this.#speak();
  }

  move() {
    this.painted.invalidate();
  }

  #paint() {
    const { past } = this;
    if (!past.isOn) return;
    const at = past.momentMs;
    const ago = this.context.clock.now() - at;
    setText(this.moment, `${formatInstant(at)} ${zoneName(at)}`);
    const doing = past.isWaiting ? ", on its way" : past.isPaused ? ", paused" : `, playing ${past.speed}×`;
    const when = ago < 2_000 ? "just now" : `${formatDuration(ago)} ago`;
    setText(this.ago, past.problem ? "" : `${when}${past.atEnd ? ", caught up with now" : doing}. Nothing can be sent from here.`);
    setAttr(this.element, "data-problem", past.problem ? "" : null);
  }

  #speak() {
    const { past } = this;
    clearTimeout(this.timer);
    if (!past.isOn) {
      if (this.wasOn) setText(this.voice, "Live: showing now");
      this.wasOn = false;
      return;
    }
    const words = past.problem ? `The past cannot be shown: ${past.problem}` : `Showing the past: ${formatInstant(past.momentMs)}`;
    const say = () => setText(this.voice, past.isPaused || past.problem ? words : `Playing the past, ${past.speed} times as fast`);
    this.timer = setTimeout(say, this.wasOn ? SPOKEN_APART_MS : 0);
    this.wasOn = true;
  }
}
