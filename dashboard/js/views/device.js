// One device, at full rate: values, charts, commands.

import { el, setAttr, setChildren, setText } from "../dom.js";
import { byImportance, isHousekeeping } from "../metrics.js";
import { ChartPanel } from "./chart_panel.js";
import { CommandForm } from "./command_form.js";
import { CommandLog } from "./command_log.js";
import { DeviceHead } from "./device_head.js";
import { DeviceLinks } from "./device_links.js";
import { DevicePast } from "./device_past.js";
import { knownStatus } from "./status.js";
import { StripPanel } from "./strip_panel.js";
import { MetricTile } from "./tile.js";
import { TimeWindow } from "./time_window.js";

const MAX_LINES = 8; // as many as there are colours to tell apart

export class DeviceView {
  /**
   * @param {string} deviceId
   * @param {import("../main.js").Context} context
   */
  constructor(deviceId, context) {
    this.deviceId = deviceId;
    this.context = context;
    this.head = new DeviceHead();
    this.window = new TimeWindow(context.clock, () => this.#showWindow(), { onAll: () => void this.past.findFirst() });
    this.past = new DevicePast(context, this.window, () => this.#showWindow());
    this.links = new DeviceLinks(deviceId, context, this.window);
    this.log = new CommandLog(deviceId, context);
    this.tiles = new Map();
    this.forms = new Map();
    this.panels = [];
    this.panelKey = "";
    this.formKey = "";
    this.tileList = el("ul.tiles", { "aria-label": "Values" });
    this.charts = el("div.charts");
    this.formNote = el("p.form-note", { hidden: true });
    this.formList = el("div.form-list");
    this.commands = el("section.side-block.device-commands", { hidden: true }, el("h2", { text: "Commands" }), this.formNote, this.formList);
    this.body = el("div.device-body", {},
      el("section.device-values", { "aria-label": "Values" }, this.tileList),
      el("section.device-charts", { "aria-label": "Charts" }, el("div.charts-head", {}, el("h2", { text: context.isPast ? "Until then" : "Charts" }), this.links.element, this.window.element), this.charts),
      el("aside.device-side", { "aria-label": "Commands" }, this.commands, this.log.element));
    this.missingText = el("p");
    this.missing = el("div.message", { hidden: true }, this.missingText, el("a.button", { href: "#/", text: "To the fleet" }));
    this.element = el("article.device", { "data-testid": "device-page", "data-device-id": deviceId }, this.head.element, this.missing, this.body);
  }

  get title() {
    const device = this.context.store.devices.get(this.deviceId);
    return device ? `${device.info.name || device.id}, ${knownStatus(device.info.availability)}` : this.deviceId;
  }

  mount(parent) {
    const { store } = this.context;
    store.history.open(this.deviceId);
    this.#follow();
    this.stops = [
      store.on("devices", () => this.#described()),
      store.on("history", () => this.#moved()),
      store.on("readings", (ids) => ids.has(this.deviceId) && this.#moved()),
      store.on("commands", (record) => this.#commandChanged(record)),
      store.on("connection", () => this.#showSendable()),
      store.on("sources", () => this.#showSendable()),
      store.on("rewound", () => this.#unfix()),
      store.on("recording", () => this.#showHistory()),
    ];
    this.#showHistory();
    parent.replaceChildren(this.element);
    window.scrollTo(0, 0);
    this.#described();
    this.log.update();
    this.head.title.focus({ preventScroll: true });
  }

  /**
   * Show as much time as the page of another time.
   * @param {DeviceView} other
   */
  adopt(other) {
    if (other.window.isChosen) this.window.buttons.get(other.window.minutes)?.click();
  }

  unmount() {
    for (const stop of this.stops) stop();
    this.unfollow?.();
    this.context.store.history.open(null);
    for (const tile of this.tiles.values()) tile.remove();
    for (const panel of this.panels) panel.remove();
    this.past.stop();
    this.element.remove();
  }

  /** Called every second. */
  tick() {
    const device = this.context.store.devices.get(this.deviceId);
    if (device) this.head.update(device, this.context.clock.now());
  }

  #follow() {
    this.unfollow?.();
    this.unfollow = this.context.connection.follow(`device/${this.deviceId}`);
  }

  #moved() {
    for (const tile of this.tiles.values()) tile.painted.invalidate();
    const oldest = this.context.store.history.oldestMs();
    if (oldest !== null) this.window.suggest(oldest);
    if (this.window.fixed) return; // what is paused does not move
    for (const panel of this.panels) panel.painted.invalidate();
  }

  /** The page shows another moment: what was zoomed into lies elsewhere. */
  #unfix() {
    while (this.window.fixed) this.window.zoom(null);
  }

  /** Another span is to be shown, or more of it has become known. */
  #showWindow() {
    this.#showHistory();
    for (const panel of this.panels) panel.refresh();
    this.context.scheduler.invalidateAll(); // the tiles show the same span
  }

  #showHistory() {
    this.window.setHistory(this.past.isThere);
    this.links.element.hidden = !this.past.isThere;
  }

  #described() {
    const { store } = this.context;
    const device = store.devices.get(this.deviceId);
    const isMissing = device === undefined;
    this.missing.hidden = !isMissing || !(store.fleetKnown || this.context.isPast);
    if (isMissing) setText(this.missingText, this.#missingWords());
    this.head.element.hidden = this.body.hidden = isMissing;
    this.context.titleChanged();
    if (isMissing) {
      this.wasMissing = store.fleetKnown;
      return;
    }
    if (this.wasMissing) {
      this.wasMissing = false;
      this.#follow(); // it came, or came back: its channel was refused or has ended
    }
    setAttr(this.element, "data-status", knownStatus(device.info.availability));
    this.tick();
    const series = byImportance(device.series.values());
    this.#arrangeTiles(series);
    this.#arrangePanels(series);
    this.#arrangeForms(device);
    this.#showSendable();
  }

  #missingWords() {
    if (!this.context.isPast) return "There is no such device, or not yet.";
    return this.context.store.fleetKnown ? "There was no such device at that time." : "Nothing to show yet.";
  }

  #arrangeTiles(series) {
    const live = new Set(series.map((one) => one.id));
    for (const [id, tile] of this.tiles) {
      if (live.has(id)) continue;
      tile.remove();
      this.tiles.delete(id);
    }
    for (const one of series) {
      if (this.tiles.get(one.id)?.series === one) continue;
      this.tiles.get(one.id)?.remove();
      this.tiles.set(one.id, new MetricTile(one, this.context, this.past));
    }
    setChildren(this.tileList, series.map((one) => this.tiles.get(one.id).element));
  }

  /** Charts are made anew only when what they show has changed, not when a value has. */
  #arrangePanels(series) {
    const key = JSON.stringify(series.map((one) => [one.id, one.name, one.unit, one.kind, one.precision]));
    if (key === this.panelKey) return;
    this.panelKey = key;
    for (const panel of this.panels) panel.remove();
    const { context } = this;
    this.panels = groupByUnit(series).map(([unit, group]) => new ChartPanel(unit, group, context, this.window, this.past));
    const states = series.filter((one) => one.kind === "boolean" || one.kind === "text");
    if (states.length) this.panels.push(new StripPanel(states, context, this.window, this.past));
    this.charts.replaceChildren(...this.panels.map((panel) => panel.element));
  }

  #arrangeForms(device) {
    const isViewer = this.context.store.session.role === "viewer";
    this.commands.hidden = device.commandNames.length === 0;
    if (device.commands === null) return;
    const key = JSON.stringify([isViewer, [...device.commands]]);
    if (key === this.formKey) return;
    this.formKey = key;
    this.forms = new Map(isViewer ? [] : [...device.commands].map(([name, info]) => [name, new CommandForm(name, info, (args) => this.#send(name, args))]));
    this.formList.replaceChildren(...[...this.forms.values()].map((form) => form.element));
  }

  #send(name, args) {
    const id = this.context.connection.sendCommand(this.deviceId, name, args);
    return id === null ? null : this.context.store.commands.get(id);
  }

  #commandChanged(record) {
    if (record === null) for (const form of this.forms.values()) this.#showLatest(form);
    else if (record.device_id !== this.deviceId) return;
    else this.forms.get(record.name)?.show(record);
    this.log.update();
  }

  #showLatest(form) {
    const record = form.commandId && this.context.store.commands.get(form.commandId);
    if (record) form.show(record);
  }

  #showSendable() {
    const { store } = this.context;
    const device = store.devices.get(this.deviceId);
    const isLive = store.connection.state === "live";
    let note = "";
    if (this.context.isPast) note = "This is the past. Commands are sent live only.";
    else if (!isLive) note = "Not connected: nothing can be sent.";
    else if (store.session.role === "viewer") note = "You may look, not send.";
    else if (device?.info.availability === "offline") note = "The device is offline. The server will refuse commands until it is back.";
    this.formNote.hidden = note === "";
    setText(this.formNote, note);
    for (const form of this.forms.values()) form.setEnabled(isLive && !this.context.isPast);
  }
}

/**
 * One chart for each unit. Without a unit nobody knows whether two metrics compare, so each gets its own.
 * @param {import("../model.js").Series[]} series
 * @returns {[string, import("../model.js").Series[]][]}
 */
export function groupByUnit(series) {
  const groups = [];
  const open = new Map();
  for (const one of series) {
    if (one.kind !== "number") continue;
    // A battery at 84 % would press a humidity of 40 % flat.
    const key = `${isHousekeeping(one)} ${one.unit}`;
    let group = one.unit === "" ? undefined : open.get(key);
    if (!group || group.length >= MAX_LINES) {
      group = [];
      groups.push([one.unit, group]);
      open.set(key, group);
    }
    group.push(one);
  }
  return groups;
}
