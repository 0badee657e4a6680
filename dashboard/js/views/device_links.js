// From a device's charts to the same in Explore, and to a report.

import { downloadUrl } from "../archive.js";
import { el } from "../dom.js";
import { byImportance } from "../metrics.js";
import { exploreHref, MAX_SERIES } from "./explore_state.js";

export class DeviceLinks {
  /**
   * @param {string} deviceId
   * @param {import("../main.js").Context} context
   * @param {import("./time_window.js").TimeWindow} timeWindow
   */
  constructor(deviceId, context, timeWindow) {
    this.deviceId = deviceId;
    this.context = context;
    this.window = timeWindow;
    // Addresses are made when they are needed: what is shown moves on with every second.
    this.explore = this.#link({ text: "Open in Explore", "data-testid": "open-explore" }, () => this.#exploreHref());
    this.report = this.#link({ text: "Report", download: "", "data-testid": "report" }, () => this.#reportHref());
    this.element = el("div.device-links", { hidden: true }, this.explore, this.report);
  }

  #link(props, address) {
    const set = () => link.setAttribute("href", address());
    const link = el("a.button", { href: "#", ...props, onclick: set, onpointerdown: set, onfocus: set });
    return link;
  }

  #exploreHref() {
    const device = this.context.store.devices.get(this.deviceId);
    const series = byImportance(device?.series.values() ?? []).filter((one) => one.kind !== "unknown").slice(0, MAX_SERIES);
    const span = this.window.span();
    const lengthMs = span.toMs - span.fromMs;
    return exploreHref({ seriesIds: series.map((one) => one.id), lengthMs, fixed: this.window.fixed, compare: "none" }, location.hash);
  }

  #reportHref() {
    const { fromMs, toMs } = this.window.span();
    return downloadUrl("report", { deviceId: this.deviceId, from: fromMs, to: toMs, format: "html" });
  }
}
