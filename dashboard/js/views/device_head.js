// The top of a device page: what it is, how it is, and since when.

import { el, setAttr, setText } from "../dom.js";
import { formatAge, formatDuration, formatMoment } from "../format.js";
import { knownStatus, statusMark, statusSource } from "./status.js";

export class DeviceHead {
  constructor() {
    this.title = el("h1.device-title", { tabindex: "-1" });
    this.mark = statusMark();
    this.since = el("span.device-since");
    this.clock = el("span.badge.badge-warn", { hidden: true, text: "Clock wrong", title: "The device's clock is wrong: times shown are when we received its messages" });
    this.facts = el("dl.facts");
    this.element = el("header.device-head", {},
      el("a.back", { href: "#/", text: "Fleet" }),
      el("div.device-name-line", {}, this.title, this.mark, this.since, this.clock),
      this.facts);
    /** @type {Map<string, HTMLElement>} */
    this.values = new Map();
  }

  /**
   * @param {import("../model.js").Device} device
   * @param {number} nowMs
   */
  update(device, nowMs) {
    const { info } = device;
    setText(this.title, info.name || device.id);
    this.mark.update(knownStatus(info.availability));
    const since = info.availability_since_ms ? `for ${formatDuration(nowMs - info.availability_since_ms)}` : "";
    setText(this.since, since);
    setAttr(this.since, "title", [statusSource(info.availability_source), info.availability_since_ms ? `since ${formatMoment(info.availability_since_ms, nowMs)}` : ""].filter(Boolean).join(", "));
    this.clock.hidden = !info.clock_suspect;
    const seen = device.lastSeenMs === null ? "never" : formatAge(device.lastSeenMs, nowMs);
    this.#fact("Last seen", seen === "now" || seen === "never" ? seen : `${seen} ago`);
    this.#fact("Area", info.area);
    this.#fact("Model", [info.manufacturer, info.model].filter(Boolean).join(" "));
    this.#fact("Software", info.sw_version);
    this.#fact("Id", device.id);
    this.#fact("Speaks", info.convention);
    this.#fact("Known since", info.first_seen_ms ? formatMoment(info.first_seen_ms, nowMs) : "");
  }

  #fact(name, text) {
    let value = this.values.get(name);
    if (!value) {
      if (!text) return;
      value = el("dd");
      this.values.set(name, value);
      this.facts.append(el("div.fact", {}, el("dt", { text: name }), value));
    }
    value.parentElement.hidden = !text;
    setText(value, text ?? "");
  }
}
