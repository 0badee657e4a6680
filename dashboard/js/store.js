// What the page knows: devices, series, commands, notes. Messages go in, views are told what changed.
//
// Names and ids come from devices, so they are keys of Maps only, never of objects.

import { KIND_READINGS, KIND_RECENT } from "./frames.js";
import { SampleRing, SparkRing } from "./rings.js";

// Ceilings. 10,000 sparklines are 24 MB; one device page holds at most 400,000 samples, 6.4 MB.
const MAX_SPARKS = 10_000;
const MAX_HISTORY_SAMPLES = 400_000;
const MAX_HISTORY_PER_SERIES = 16_384;
const MAX_COMMANDS = 500;
const MAX_NOTES = 200;

/**
 * @typedef {object} Series
 * @property {number} id
 * @property {string} deviceId
 * @property {string} metric
 * @property {string} name
 * @property {"number"|"boolean"|"text"|"unknown"} kind
 * @property {string} unit
 * @property {string} unitSource
 * @property {number|null} precision
 * @property {number|null} min
 * @property {number|null} max
 * @property {string[]} texts
 * @property {number|boolean|string|null} value
 * @property {number|null} timeMs when it was measured; null: nobody knows
 * @property {number|null} receivedMs
 * @property {"good"|"bad"|"stale"} quality
 * @property {number} intervalMs usual time between readings, smoothed; 0: not known yet
 * @property {SparkRing|null} spark
 *
 * @typedef {object} Device
 * @property {string} id
 * @property {object} info as the server tells it, without `commands`
 * @property {string[]} commandNames
 * @property {Map<string, {title: string, description: string, schema: object, danger: boolean}>|null} commands
 *   null until its own channel has told them
 * @property {Map<string, Series>} series by metric, in order of appearance
 * @property {number|null} lastSeenMs
 */

/** One event of the store and what its listeners get. */
export const EVENTS = Object.freeze([
  "connection", // nothing
  "devices", // nothing: some device came, went or changed; see `changedDevices`
  "readings", // Set of device ids
  "history", // nothing: samples of the open device
  "commands", // the record, or null for all
  "notes",
  "presence",
  "sources",
  "stats",
]);

export class Store {
  constructor() {
    /** @type {Map<string, Device>} */
    this.devices = new Map();
    /** @type {Map<number, Series>} */
    this.series = new Map();
    /** @type {Map<string, object>} command records by id, oldest first */
    this.commands = new Map();
    /** @type {object[]} oldest first */
    this.notes = [];
    /** @type {Map<string, object>} by name */
    this.sources = new Map();
    this.operators = 0;
    /** @type {{at: number, counters: object}|null} */
    this.stats = null;
    this.previousStats = null;
    this.session = { id: null, role: null, version: null, epoch: null, limits: null };
    this.behindMs = null; // smoothed: from the bridge having a reading to the page having it
    this.conflated = 0;
    this.fleetKnown = false; // true once the first snapshot came
    this.connection = { state: "connecting", lostAt: null, retryAt: null, closeCode: null, reason: "" };

    /** @type {string|null} whose samples we keep at full rate */
    this.openDeviceId = null;
    /** @type {Map<number, SampleRing>} by series id */
    this.history = new Map();

    this.listeners = new Map(EVENTS.map((event) => [event, new Set()]));
    this.sparks = 0;
    /** Devices that changed since a listener last took them. */
    this.changedDevices = new Set();
  }

  /**
   * @param {string} event one of EVENTS
   * @param {(detail: any) => void} listener
   * @returns {() => void} stops listening
   */
  on(event, listener) {
    const listeners = this.listeners.get(event);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit(event, detail = null) {
    for (const listener of this.listeners.get(event)) listener(detail);
  }

  // ----- the connection ---------------------------------------------------------------------------------

  setConnection(change) {
    Object.assign(this.connection, change);
    this.emit("connection");
  }

  /** A new session: `welcome` carries whole states. */
  welcome(message) {
    const sameServer = this.session.epoch === message.epoch;
    this.session = {
      id: message.session_id,
      role: message.role,
      version: message.version,
      epoch: message.epoch,
      limits: message.limits ?? null,
    };
    if (!sameServer) {
      // Counters and ids of another run; the commands it never finished can no longer end.
      this.stats = this.previousStats = null;
      this.notes = [];
      for (const [id, command] of this.commands) {
        if (!hasEnded(command)) this.commands.set(id, { ...command, lost: true });
      }
    }
    this.operators = message.operators ?? 0;
    this.sources = new Map((message.sources ?? []).map((source) => [source.name, source]));
    this.notes = (message.notes ?? []).slice(-MAX_NOTES);
    for (const command of message.commands ?? []) this.#putCommand(command);
    for (const event of ["presence", "sources", "notes", "commands", "stats"]) this.emit(event);
  }

  // ----- devices and series -----------------------------------------------------------------------------

  /** A snapshot that is the whole state of its channel (`recovered: false`). */
  snapshot(message) {
    if (message.channel === "fleet") {
      const told = new Set(message.devices.map((device) => device.device_id));
      for (const id of [...this.devices.keys()]) if (!told.has(id)) this.#removeDevice(id);
      const live = new Set(message.series.map((series) => series.series_id));
      for (const id of [...this.series.keys()]) if (!live.has(id)) this.#removeSeries(id);
      this.fleetKnown = true;
    } else {
      for (const ring of this.history.values()) ring.clear();
    }
    for (const device of message.devices) this.#putDevice(device);
    for (const series of message.series) this.#putSeries(series, true);
    this.emit("devices");
    if (message.channel !== "fleet") this.emit("history");
  }

  /** A `device` message. */
  device(message) {
    if (message.device.removed) this.#removeDevice(message.device.device_id);
    else this.#putDevice(message.device);
    this.emit("devices");
  }

  /** A `series` message. */
  describeSeries(message) {
    for (const series of message.series) this.#putSeries(series, false);
    this.emit("devices");
  }

  // ----- readings ---------------------------------------------------------------------------------------

  /**
   * A frame of readings or of the recent past.
   * @param {string} channel
   * @param {import("./frames.js").Frame} frame
   * @param {number} nowMs the server's time
   */
  readings(channel, frame, nowMs) {
    const isFleet = channel === "fleet";
    const live = frame.kind === KIND_READINGS;
    if (!live && frame.kind !== KIND_RECENT) return;
    const touched = new Set();
    const serverMs = frame.serverTimeUs / 1000;
    const { values, seriesIds, deltasUs, baseTimeUs, count } = frame;
    let current = null;
    for (let i = 0; i < count; i++) {
      const id = seriesIds[i];
      if (current === null || current.id !== id) current = this.series.get(id) ?? null;
      if (current === null) continue;
      const timeMs = (baseTimeUs + deltasUs[i]) / 1000;
      if (live) this.#applyReading(current, timeMs, values[i], serverMs);
      if (isFleet) current.spark?.push(timeMs, values[i]);
      else this.#keep(current, timeMs, values[i]);
      touched.add(current.deviceId);
    }
    if (live && isFleet) {
      const behind = Math.max(0, nowMs - serverMs);
      this.behindMs = this.behindMs === null ? behind : this.behindMs * 0.8 + behind * 0.2;
    }
    this.emit("readings", touched);
    if (!isFleet) this.emit("history");
  }

  /**
   * Keep this device's samples at full rate; null: of none.
   * @param {string|null} deviceId
   */
  open(deviceId) {
    this.openDeviceId = deviceId;
    this.history = new Map();
  }

  // ----- the rest ---------------------------------------------------------------------------------------

  command(record) {
    this.#putCommand(record);
    this.emit("commands", record);
  }

  note(note) {
    if (this.notes.some((known) => known.note_id === note.note_id)) return;
    this.notes.push(note);
    if (this.notes.length > MAX_NOTES) this.notes.splice(0, this.notes.length - MAX_NOTES);
    this.emit("notes");
  }

  presence(operators) {
    this.operators = operators;
    this.emit("presence");
  }

  source(source) {
    this.sources.set(source.name, source);
    this.emit("sources");
  }

  /**
   * @param {object} counters since the bridge started
   * @param {number} at our time of receipt in ms
   */
  setStats(counters, at) {
    this.previousStats = this.stats;
    this.stats = { at, counters };
    this.emit("stats");
  }

  lag(message) {
    this.conflated += Number(message.conflated) || 0;
    this.emit("stats");
  }

  /**
   * How fast a counter grows.
   * @param {string} name
   * @returns {number|null} per second; null while two messages have not come
   */
  rate(name) {
    if (!this.stats || !this.previousStats) return null;
    const seconds = (this.stats.at - this.previousStats.at) / 1000;
    const growth = this.stats.counters[name] - this.previousStats.counters[name];
    return seconds > 0 && growth >= 0 ? growth / seconds : null;
  }

  /** Commands of a device, newest first. */
  commandsOf(deviceId) {
    return [...this.commands.values()].filter((command) => command.device_id === deviceId).reverse();
  }

  // ----- inner workings ---------------------------------------------------------------------------------

  #putDevice(info) {
    let device = this.devices.get(info.device_id);
    if (!device) {
      device = { id: info.device_id, info, commandNames: [], commands: null, series: new Map(), lastSeenMs: null };
      this.devices.set(info.device_id, device);
    }
    device.info = info;
    device.lastSeenMs = Math.max(device.lastSeenMs ?? 0, info.last_seen_ms ?? 0) || null;
    if (Array.isArray(info.commands)) {
      device.commandNames = info.commands;
    } else if (info.commands && typeof info.commands === "object") {
      device.commands = new Map(Object.entries(info.commands));
      device.commandNames = [...device.commands.keys()];
    }
    this.changedDevices.add(device.id);
  }

  #removeDevice(id) {
    const device = this.devices.get(id);
    if (!device) return;
    for (const series of device.series.values()) this.#removeSeries(series.id);
    this.devices.delete(id);
    this.changedDevices.add(id);
  }

  #removeSeries(id) {
    const series = this.series.get(id);
    if (!series) return;
    if (series.spark) this.sparks--;
    this.series.delete(id);
    this.history.delete(id);
    const siblings = this.devices.get(series.deviceId)?.series;
    if (siblings?.get(series.metric) === series) siblings.delete(series.metric);
  }

  #putSeries(told, isWhole) {
    const device = this.devices.get(told.device_id);
    if (!device) return;
    let series = this.series.get(told.series_id);
    if (series && (series.deviceId !== told.device_id || series.metric !== told.metric)) {
      this.#removeSeries(told.series_id); // the number means something else now: another run of the server
      series = undefined;
    }
    if (!series) {
      series = { id: told.series_id, texts: [], value: null, timeMs: null, receivedMs: null, intervalMs: 0, spark: null };
      series.quality = "good";
      this.series.set(series.id, series);
    }
    series.deviceId = told.device_id;
    series.metric = told.metric;
    series.name = told.name || told.metric;
    series.kind = told.kind;
    series.unit = told.unit ?? "";
    series.unitSource = told.unit_source ?? "";
    series.precision = told.precision ?? null;
    series.min = told.min ?? null;
    series.max = told.max ?? null;
    series.texts = series.texts.slice(0, told.texts_from ?? 0).concat(told.texts ?? []);
    if (series.spark === null && series.kind !== "text" && this.sparks < MAX_SPARKS) {
      series.spark = new SparkRing();
      this.sparks++;
    }
    // The other channel may have brought a newer value already.
    if (isWhole || series.timeMs === null || (told.time_ms ?? 0) >= series.timeMs) {
      series.value = told.value ?? null;
      series.timeMs = told.time_ms ?? null;
      series.receivedMs = told.received_ms ?? null;
      series.quality = told.quality ?? "good";
    }
    device.series.set(series.metric, series);
    this.changedDevices.add(device.id);
  }

  #applyReading(series, timeMs, number, serverMs) {
    const device = this.devices.get(series.deviceId);
    if (device && serverMs > (device.lastSeenMs ?? 0)) device.lastSeenMs = serverMs;
    if (series.timeMs !== null && timeMs < series.timeMs) return; // late: kept in the rings, not shown as the latest
    if (series.timeMs !== null && timeMs > series.timeMs && series.quality !== "stale") {
      const interval = timeMs - series.timeMs;
      series.intervalMs = series.intervalMs === 0 ? interval : series.intervalMs * 0.9 + interval * 0.1;
    }
    series.value = decode(series, number);
    series.timeMs = timeMs;
    series.receivedMs = serverMs;
    series.quality = series.value === null ? "bad" : "good";
  }

  #keep(series, timeMs, number) {
    if (series.deviceId !== this.openDeviceId) return;
    let ring = this.history.get(series.id);
    if (!ring) {
      const siblings = this.devices.get(series.deviceId)?.series.size ?? 1;
      // Rounded down to a power of two, because rings round up.
      const share = 2 ** Math.floor(Math.log2(Math.max(256, MAX_HISTORY_SAMPLES / Math.max(1, siblings))));
      ring = new SampleRing(Math.min(MAX_HISTORY_PER_SERIES, share));
      this.history.set(series.id, ring);
    }
    ring.push(timeMs, number);
  }

  #putCommand(record) {
    this.commands.delete(record.id); // to the end: the one that changed last is the one that is forgotten last
    this.commands.set(record.id, record);
    if (this.commands.size > MAX_COMMANDS) this.commands.delete(this.commands.keys().next().value);
  }
}

/**
 * A number of a frame as the series means it.
 * @param {Series} series
 * @param {number} number
 * @returns {number|boolean|string|null}
 */
export function decode(series, number) {
  if (Number.isNaN(number)) return null;
  if (series.kind === "boolean") return number !== 0;
  if (series.kind === "text") return series.texts[number] ?? null;
  return number;
}

const ENDED = new Set(["succeeded", "failed", "timed_out"]);

/** @param {object} command a record */
export function hasEnded(command) {
  return ENDED.has(command.state) || command.lost === true || command.refused !== undefined;
}
