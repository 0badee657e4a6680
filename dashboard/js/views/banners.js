// What everybody has to know: the line is down, the broker is gone, access was refused,
// the page cannot keep up. And the voice for screen readers.

import { el, setText } from "../dom.js";
import { formatDuration, formatMoment, plural } from "../format.js";
import { lostOf } from "../health.js";

const LAGGING = "This page reads too slowly: readings are being merged. The lowest, the highest and the newest of each series are shown.";

export class BannersView {
  /** @param {import("../main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.store = context.store;
    this.element = el("div.banners");
    // Only changes of state are spoken, never the seconds that count down.
    this.voice = el("p.visually-hidden", { role: "status", "aria-live": "polite" });
    /** @type {Map<string, {element: HTMLElement, text: HTMLElement}>} */
    this.shown = new Map();
    this.spoken = "connecting";
    this.wasLagging = false;
    this.wasLosing = false;
    this.wasFailing = false;
    this.notice = ""; // spoken
    this.dismissed = ""; // read, and closed by who reads this page
    this.store.on("connection", () => this.update());
    this.store.on("sources", () => this.update());
    this.store.on("stats", () => this.update());
    this.store.on("recording", () => this.update());
    this.update();
  }

  /** Called every second too: the banners count. */
  update() {
    const wanted = new Map([...this.#connection(), ...this.#sources(), ...this.#recording(), ...this.#notice(), ...this.#lag()]);
    for (const [key, banner] of this.shown) {
      if (wanted.has(key)) continue;
      banner.element.remove();
      this.shown.delete(key);
    }
    for (const [key, { text, tone, action }] of wanted) {
      let banner = this.shown.get(key);
      if (!banner) {
        const line = el("span");
        const button = action && el("button.button", { type: "button", text: action.text, onclick: action.act });
        const element = el("div.banner", { "data-testid": "banner", "data-kind": key.split(":")[0], "data-tone": tone }, line, button);
        banner = { element, text: line };
        this.shown.set(key, banner);
        this.element.append(element);
      }
      setText(banner.text, text);
    }
    this.#speakLoss();
  }

  #connection() {
    const { state, lostAt, retryAt, reason } = this.store.connection;
    const action = { text: "Retry now", act: () => this.context.connection.retry() };
    this.#speak(state, reason);
    if (state === "live" || state === "auth") return [];
    if (reason) return [["stopped", { text: reason, tone: "bad", action }]];
    if (state === "connecting" && !lostAt) return [];
    const since = lostAt ? `Disconnected ${formatDuration(Date.now() - lostAt)} ago` : "Cannot reach the server";
    const next = retryAt ? `retrying in ${formatDuration(retryAt - Date.now() + 999)}` : "trying now";
    const note = lostAt ? " Values below are the last ones received." : "";
    return [["connection", { text: `${since}, ${next}.${note}`, tone: "bad", action }]];
  }

  #sources() {
    if (this.store.connection.state !== "live") return []; // one trouble at a time; of this one we know nothing new
    const now = this.context.clock.now();
    const troubled = [...this.store.sources.values()].filter((source) => source.state !== "connected");
    return troubled.map((source) => {
      const since = `since ${formatMoment(source.since_ms, now)} (${formatDuration(now - source.since_ms)})`;
      const what = source.state === "connecting" ? "Connecting to" : "Disconnected from";
      const detail = source.detail ? `: ${String(source.detail).replace(/[.\s]+$/, "")}` : "";
      const text = `${what} the broker ${source.address || source.name} ${since}${detail}. Values do not change, commands are refused.`;
      const tone = source.state === "connecting" ? "warn" : "bad";
      return [`source:${source.name}:${source.state}`, { text, tone }];
    });
  }

  /** Nothing is lost yet, but the past will have a hole if nobody makes room. */
  #recording() {
    const { state, since_ms: sinceMs, reason, waiting, lost } = this.store.recording;
    const isFailing = state === "failing";
    if (isFailing !== this.wasFailing) {
      if (isFailing) setText(this.voice, `Not recording: ${reason}`);
      else if (this.wasFailing) setText(this.voice, "Recording again");
      this.wasFailing = isFailing;
    }
    if (!isFailing || this.store.connection.state !== "live") return [];
    const why = String(reason || "the disk refuses").replace(/[.\s]+$/, "");
    const since = Number.isFinite(sinceMs) ? ` since ${formatMoment(sinceMs, this.context.clock.now())}` : "";
    const parts = [`Not recording${since}: ${why}; nothing that devices send with QoS 1 is lost as long as the broker keeps it.`];
    if (waiting > 0) parts.push(`${plural(waiting, "reading")} ${waiting === 1 ? "waits" : "wait"}.`);
    if (lost > 0) parts.push(`${plural(lost, "reading")} ${lost === 1 ? "is" : "are"} in no history.`);
    return [["recording", { text: parts.join(" "), tone: "bad" }]];
  }

  /** What happened to the history at its start, or to a part of it later: an empty past must explain itself. */
  #notice() {
    const notice = String(this.store.recording.notice || "");
    if (notice !== this.notice) {
      this.notice = notice;
      if (notice) setText(this.voice, notice);
    }
    if (!notice || notice === this.dismissed) return [];
    const act = () => {
      this.dismissed = notice;
      this.update();
    };
    return [[`notice:${notice}`, { text: notice, tone: "bad", action: { text: "Dismiss", act } }]];
  }

  #speakLoss() {
    const isLosing = this.store.health.recent(lostOf) > 0;
    if (isLosing && !this.wasLosing) setText(this.voice, "Messages were lost. The line at the top says how many.");
    this.wasLosing = isLosing;
  }

  #lag() {
    const isLagging = this.store.health.isLagging(Date.now());
    if (isLagging && !this.wasLagging) setText(this.voice, LAGGING);
    else if (!isLagging && this.wasLagging && this.voice.textContent === LAGGING) setText(this.voice, "");
    this.wasLagging = isLagging;
    return isLagging && this.store.connection.state === "live" ? [["lag", { text: LAGGING, tone: "warn" }]] : [];
  }

  #speak(state, reason) {
    const calm = state === "connecting" || state === "offline" ? "lost" : state;
    if (calm === this.spoken || (calm === "lost" && this.spoken === "connecting")) return;
    this.spoken = calm;
    setText(this.voice, calm === "live" ? "Connected" : calm === "auth" ? "A token is needed" : reason || "Connection lost");
  }
}
