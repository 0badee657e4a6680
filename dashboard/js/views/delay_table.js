// How long readings take, leg by leg: p50 and p99 of the last minute, with a bar each, and how far to trust them.

import { el, setAttr, setText } from "../dom.js";
import { formatLatency, plural } from "../format.js";

const LEGS = [
  ["toBridge", "Device to bridge"],
  ["inBridge", "of that, in the bridge"],
  ["toPage", "Bridge to this page"],
  ["toScreen", "This page to the screen"],
  ["total", "Device to screen"],
];
const HELD = "Measured on the newest reading of each frame. The fleet page is sent each series at most twice a second, so a reading may be up to 0.5 s older than this; a device's own page gets every reading.";

export class DelayTable {
  constructor() {
    this.rows = new Map(LEGS.map(([name, words]) => [name, legRow(name, words)]));
    this.note = el("p.health-note");
    this.element = el("div", {},
      el("table.health-table.delays", {},
        el("caption.visually-hidden", { text: "Delay of each leg" }),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span.visually-hidden", { text: "Leg" })), el("td.delay-cell", { "aria-hidden": "true" }),
          el("th", { scope: "col", title: "Half of the readings were faster (p50)" }, "Typical", el("span.column-sub", { text: "p50" })),
          el("th", { scope: "col", title: "One in a hundred took longer (p99)" }, "Slowest 1 %", el("span.column-sub", { text: "p99" })))),
        el("tbody", {}, ...[...this.rows.values()].map((row) => row.element))),
      this.note);
  }

  /**
   * @param {ReturnType<import("../latency.js").Latency["summary"]>} summary
   * @param {object} counters
   * @param {{clock: import("../clock.js").ServerClock, devices: Map<string, import("../model.js").Device>}} known
   */
  update(summary, counters, { clock, devices }) {
    const { delay_p50_ms: p50, delay_p99_ms: p99 } = counters;
    const legs = { ...summary, inBridge: Number.isFinite(p50) && Number.isFinite(p99) ? { p50, p99 } : null };
    const scale = Math.max(1, ...LEGS.map(([name]) => legs[name]?.p99 ?? 0));
    for (const [name, row] of this.rows) {
      const leg = legs[name];
      // No finer than the clocks have been compared.
      const least = name === "toPage" ? (clock.uncertaintyMs ?? 0) : 0;
      setText(row.p50, leg ? precise(leg.p50, least) : "–");
      setText(row.p99, leg ? precise(leg.p99, least) : "–");
      setAttr(row.element, "data-p50", leg ? String(leg.p50) : null);
      row.typical.style.width = `${((leg?.p50 ?? 0) / scale) * 100}%`;
      row.slowest.style.width = `${((leg?.p99 ?? 0) / scale) * 100}%`;
    }
    setText(this.note, this.#trust(summary, clock, [...devices.values()]));
  }

  #trust({ frames, impossible }, { uncertaintyMs }, devices) {
    const parts = [frames ? `The last minute, ${plural(frames, "frame")}.` : "No live readings came in the last minute while this page was in view.", HELD];
    if (uncertaintyMs !== null) parts.push(`Clocks are compared over the connection: ± ${uncertaintyMs.toFixed(1)} ms on the leg from the bridge.`);
    const out = leftOut(devices);
    if (out) parts.push(`Left out of the first leg: ${out}.`);
    if (impossible) parts.push(`${plural(impossible, "frame")} whose newest reading is more than an hour old ${impossible === 1 ? "is" : "are"} left out too.`);
    return parts.join(" ");
  }
}

/** What the devices' clocks do not let us measure. */
function leftOut(devices) {
  const count = (test) => devices.filter(test).length;
  const wrong = count(({ info }) => info.clock_suspect);
  const ahead = count(({ info, clock }) => clock === "ahead" && !info.clock_suspect);
  const none = count(({ info, clock }) => clock === "none" && !info.clock_suspect);
  const parts = [[wrong, "whose clock is wrong"], [ahead, "with readings of the future"], [none, "without a time of its own in whole milliseconds"]];
  return parts.filter(([number]) => number > 0).map(([number, why]) => `${plural(number, "device")} ${number === 1 ? why : why.replace("its", "their")}`).join(", ");
}

function legRow(name, words) {
  const [typical, slowest, p50, p99] = [el("span.delay-typical"), el("span.delay-slowest"), el("td"), el("td")];
  const bar = el("td.delay-cell", { "aria-hidden": "true" }, el("span.delay-bar", {}, slowest, typical));
  return { element: el("tr", { "data-leg": name }, el("th", { scope: "row", text: words }), bar, p50, p99), typical, slowest, p50, p99 };
}

/** Legs are often shorter than a few milliseconds. */
function precise(ms, leastMs) {
  if (ms < leastMs) return `under ${Math.ceil(leastMs)} ms`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : formatLatency(ms);
}
