// Going to a moment and coming back: the address of the page and the past belong together. "?at=" stands in the address
// as long as the past is shown, so that a reload, a link and the Back button mean what people think.

import { atMoment } from "./route.js";

const SETTLE_MS = 400;

export class Travel {
  /**
   * @param {import("./replay.js").Replay} past
   * @param {() => void} arrive shows the page that the address names
   */
  constructor(past, arrive) {
    this.past = past;
    this.arrive = arrive;
    /** The moment that the address names, as far as we wrote it. */
    this.writtenMs = null;
    this.timer = 0;
    past.on(() => this.#settle());
    document.addEventListener("click", (event) => this.#keepMoment(event), true);
    document.addEventListener("auxclick", (event) => this.#keepMoment(event), true);
  }

  /**
   * Show a moment.
   * @param {number} atMs
   */
  to(atMs) {
    const at = Math.round(atMs);
    if (this.past.isOn) return this.past.seek(at);
    history.pushState(null, "", atMoment(location.hash, at));
    return this.arrive();
  }

  /** Show now. */
  live() {
    if (!this.past.isOn) return;
    history.pushState(null, "", atMoment(location.hash, null));
    this.arrive();
  }

  /**
   * @param {number} atMs
   * @returns {string} what a colleague opens to see the same
   */
  link(atMs) {
    if (this.past.isOn) this.#write(atMs);
    return new URL(atMoment(location.hash, atMs), location.href).href;
  }

  /**
   * Do as the address says.
   * @param {import("./route.js").Route} target
   */
  follow(target) {
    if (target.at === null) return this.past.leave();
    const deviceId = target.page === "device" ? target.deviceId : null;
    if (!this.past.isOn) this.past.enter(target.at, deviceId);
    else {
      this.past.narrow(deviceId);
      if (target.at !== this.writtenMs) {
        this.past.setPaused(true);
        this.past.seek(target.at);
      }
    }
    this.writtenMs = target.at;
    return undefined;
  }

  /** The address says where we have stopped. Not at every tick: browsers take only so many changes. */
  #settle() {
    clearTimeout(this.timer);
    const { past } = this;
    if (past.isOn && past.isPaused && !past.isWaiting && !past.problem) this.timer = setTimeout(() => this.#write(past.momentMs), SETTLE_MS);
  }

  #write(atMs) {
    this.writtenMs = Math.round(atMs);
    history.replaceState(null, "", atMoment(location.hash, this.writtenMs));
  }

  /** A link within the page leads to the other page at the same moment, also in another tab. */
  #keepMoment(event) {
    const link = event.target.closest?.("a[href^='#/']");
    if (!link || !this.past.isOn) return;
    const href = link.getAttribute("href");
    this.writtenMs = Math.round(this.past.momentMs);
    link.setAttribute("href", atMoment(href, this.writtenMs));
    setTimeout(() => link.setAttribute("href", href)); // after the browser has followed it
  }
}
