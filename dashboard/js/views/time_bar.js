// The bar under every page: which moment is shown, and the way to any other.

import { el, setAttr, setText } from "../dom.js";
import { EventFeed } from "../event_feed.js";
import { formatDuration, formatInstant } from "../format.js";
import { momentOf, wordsOf } from "../happenings.js";
import { ShareButton } from "./share_button.js";
import { TimeControls } from "./time_controls.js";
import { TimeTrack } from "./time_track.js";

const ZOOM_STEP = 2;
const STEP_SHARE = 1 / 200; // of the stretch that is shown, for an arrow key
const PAGE_SHARE = 1 / 10;
const LEAST_STEP_MS = 1_000;
const FEED_MS = 30_000; // how old marks may be; what people do meanwhile asks sooner

export class TimeBar {
  /**
   * @param {import("../main.js").Context} context of now
   * @param {import("../replay.js").Replay} past
   * @param {import("../travel.js").Travel} travel
   */
  constructor(context, past, travel) {
    this.context = context;
    this.past = past;
    this.travel = travel;
    this.feed = new EventFeed(() => this.track.painted.invalidate());
    this.track = new TimeTrack(context, this.feed, {
      moment: () => (past.isOn ? past.momentMs : null),
      seek: (ms) => travel.to(ms),
      grab: () => this.#grab(),
      release: () => this.#release(),
      live: () => travel.live(),
      moved: () => this.controls.showSpan(this.track.window.spanMs),
      keydown: (event) => this.#key(event),
    });
    this.voice = el("p.visually-hidden", { role: "status", "data-testid": "bar-voice" });
    this.controls = new TimeControls({
      play: () => this.#toggle(),
      step: (direction) => this.#step(direction),
      jump: (direction) => this.#jump(direction),
      live: () => travel.live(),
      speed: (speed) => past.setSpeed(speed),
      span: (ms) => this.track.choose(ms),
      zoom: (isOut) => this.track.zoom(isOut ? ZOOM_STEP : 1 / ZOOM_STEP),
      more: () => this.element.toggleAttribute("data-more"),
    }, new ShareButton(() => travel.link(this.#moment()), this.voice).element);
    this.bar = el("div.bar-body", {}, this.track.element, this.controls.element);
    this.nothing = el("p.bar-nothing", { text: "This bridge keeps no history: only now can be shown.", hidden: true });
    this.element = el("section.time-bar", { "aria-label": "Time", "data-testid": "time-bar", hidden: true }, this.bar, this.nothing, this.voice);
    past.on(() => this.update());
    for (const event of ["connection", "recording"]) context.store.on(event, () => this.#showAvailable());
    for (const event of ["commands", "notes"]) context.store.on(event, () => this.feed.news());
    this.painted = context.scheduler.add(this.element, () => this.#paint());
    this.#showAvailable();
    this.update();
  }

  /** @param {string|null} deviceId of the device page that is open: only its events are marked */
  narrow(deviceId) {
    this.track.deviceId = deviceId;
    this.track.painted.invalidate();
  }

  /** The replay's state changed. */
  update() {
    const { past } = this;
    setAttr(this.element, "data-past", past.isOn ? "" : null);
    this.controls.show(past.isOn, past.isPaused, past.speed);
    this.move();
  }

  /** Time goes on, or is played. */
  move() {
    if (this.past.isOn) this.track.follow(!this.past.isPaused && !this.past.isWaiting);
    this.track.painted.invalidate();
    this.painted.invalidate();
  }

  /** With no history there is nothing to go to, and the bar takes no room. */
  #showAvailable() {
    const { connection, recording, session } = this.context.store;
    const isKnown = session.id !== null; // before the first welcome nobody knows whether there is a history
    const isOff = isKnown && recording.state === "off";
    this.element.hidden = connection.state === "auth" || (!isKnown && !this.past.isOn);
    this.bar.hidden = isOff;
    this.nothing.hidden = !isOff;
    setAttr(this.element, "data-off", isOff ? "" : null);
    document.body.toggleAttribute("data-time-bar", !this.element.hidden && !isOff);
    if (isOff || connection.state !== "live" || this.askedFor === session.id) return;
    this.askedFor = session.id;
    this.feed.askFirst();
  }

  // ----- what people do -----------------------------------------------------------------------------------

  #now() {
    return this.context.clock.now();
  }

  #moment() {
    return this.past.isOn ? this.past.momentMs : this.#now();
  }

  #toggle() {
    if (this.past.isOn) this.past.setPaused(!this.past.isPaused);
    else this.travel.to(this.#now());
  }

  #step(direction) {
    if (!this.past.isOn) this.travel.to(this.#now());
    this.past.step(direction);
  }

  async #jump(direction) {
    try {
      const event = await this.feed.search(this.#moment(), direction, this.#now(), this.track.deviceId);
      if (!event) return setText(this.voice, direction > 0 ? "No later event" : "No earlier event");
      this.travel.to(momentOf(event));
      this.past.setPaused(true);
      const name = (id) => this.context.store.devices.get(id)?.info.name || id;
      return setText(this.voice, `${formatInstant(event.timeMs)}: ${wordsOf(event, name)}`);
    } catch (error) {
      return setText(this.voice, `The events cannot be read: ${error.message}`);
    }
  }

  #grab() {
    this.wasPlaying = this.past.isOn && !this.past.isPaused;
    if (this.wasPlaying) this.past.setPaused(true);
  }

  #release() {
    if (this.wasPlaying) this.past.setPaused(false);
    this.wasPlaying = false;
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { fromMs, toMs } = this.track.range();
    const least = (share) => Math.max(LEAST_STEP_MS, (toMs - fromMs) * share);
    const [step, page] = [least(event.shiftKey ? PAGE_SHARE : STEP_SHARE), least(PAGE_SHARE)];
    const moves = new Map([["ArrowLeft", -step], ["ArrowDown", -step], ["ArrowRight", step], ["ArrowUp", step], ["PageDown", -page], ["PageUp", page]]);
    const first = this.feed.firstMs;
    if (moves.has(event.key)) {
      const to = this.#moment() + moves.get(event.key);
      if (to >= this.#now()) this.travel.live();
      else this.travel.to(Math.max(first ?? -Infinity, to));
    } else if (event.key === "Home") this.travel.to(first ?? fromMs);
    else if (event.key === "End") this.travel.live();
    else if (event.key === " ") this.#toggle();
    else return;
    event.preventDefault();
  }

  // ----- showing ------------------------------------------------------------------------------------------

  #paint() {
    const now = this.#now();
    const moment = this.#moment();
    this.controls.showMoment(moment, this.past.isOn ? this.#stateWords(now - moment) : "Live");
    this.fedAt ??= now;
    if (now - this.fedAt < FEED_MS) return;
    this.fedAt = now;
    if (!this.past.isOn) this.feed.news();
  }

  #stateWords(agoMs) {
    const { past } = this;
    if (past.problem) return "Cannot be shown";
    if (past.isWaiting) return "Going there…";
    if (past.atEnd) return "Caught up with now";
    const ago = agoMs < 2_000 ? "now" : `${formatDuration(agoMs)} ago`;
    return past.isPaused ? `${ago} · paused` : `${ago} · playing ${past.speed}×`;
  }
}
