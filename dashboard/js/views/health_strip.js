// The line that says whether what is shown is all there is: "0 lost · 312 conflated · 0.04 s behind".

import { el, setAttr, setChildren, setText } from "../dom.js";
import { healthLine } from "../health.js";
import { statusShape } from "./status.js";

/** Which shape a tone has; the same as devices have. */
const SHAPES = new Map([["calm", "online"], ["warn", "stale"], ["bad", "offline"]]);
const EXPLAINED = new Map([
  ["lost", "Messages that were lost since the bridge started: by the broker, by the bridge, or for a dashboard"],
  ["rejected", "Messages and values that could not be used since the bridge started"],
  ["conflated", "Readings merged into newer ones of their series, by design, since the bridge started"],
  ["behind", "From a device's measurement to this screen: half of the readings of the last minute were faster"],
  ["lag", "This page reads too slowly: readings are being merged for it"],
]);

/**
 * @param {string} tone calm, warn or bad
 * @returns {SVGElement}
 */
export function toneShape(tone) {
  return statusShape(SHAPES.get(tone));
}

export class HealthStrip {
  /** @param {import("../main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.store = context.store;
    this.shape = el("span.health-shape", { "aria-hidden": "true" });
    this.line = el("span.health-line");
    /** @type {Map<string, HTMLElement>} by name */
    this.parts = new Map();
    this.button = el("button.health", { type: "button", "data-testid": "health", "aria-haspopup": "dialog", hidden: true, onclick: () => context.openHealth() },
      this.shape, this.line);
    // A box of its own size: a new text here must not lay out the rest of the page.
    this.element = el("div.health-box", {}, this.button);
    this.store.on("stats", () => this.update());
    this.store.on("connection", () => this.update());
  }

  update() {
    const { health, latency, connection } = this.store;
    const isLive = connection.state === "live";
    // Before the first connection there is nothing to say; after it, that there is nothing to say is worth saying.
    this.button.hidden = isLive ? health.latest === null : connection.lostAt === null;
    if (this.button.hidden) return;
    const now = this.context.clock.now();
    const { tone, parts } = isLive
      ? healthLine(health, latency.behind(now), Date.now())
      : { tone: "none", parts: [{ name: "none", text: "Not connected: nothing is counted", tone: "none" }] };
    if (this.tone !== tone) {
      this.tone = tone;
      this.shape.replaceChildren(...(SHAPES.has(tone) ? [toneShape(tone)] : []));
      setAttr(this.button, "data-tone", tone);
    }
    setChildren(this.line, parts.map((part, i) => this.#part(part, i > 0)));
  }

  #part({ name, text, tone }, isLater) {
    let element = this.parts.get(name);
    if (!element) {
      element = el("span.health-part", { "data-part": name, title: EXPLAINED.get(name) });
      this.parts.set(name, element);
    }
    setAttr(element, "data-tone", tone);
    setText(element, isLater ? ` · ${text}` : text);
    return element;
  }
}
