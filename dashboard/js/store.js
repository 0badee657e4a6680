// What the page knows: devices, series, commands, notes. Messages go in, views are told what changed.
//
// Names and ids come from devices, so they are keys of Maps only, never of objects.

import { KIND_MERGED, KIND_READINGS, KIND_RECENT } from "./frames.js";
import { Health } from "./health.js";
import { History } from "./history.js";
import { Latency } from "./latency.js";
import { decode, hasEnded } from "./model.js";
import { SPARK_SPAN_MS, SparkRing } from "./rings.js";

// Ceilings, so that a page which stays open for a month uses what it used after an hour.
const MAX_SPARKS = 10_000; // 24 MB
const SPARK_LEAST_MS = 20_000;
const MAX_COMMANDS = 500;
const MAX_NOTES = 200;

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
  "recording",
  "rewound", // nothing: the store holds another moment, and nothing of the one before
]);

export class Store {
  constructor() {
    /** @type {Map<string, import("./model.js").Device>} */
    this.devices = new Map();
    /** @type {Map<number, import("./model.js").Series>} */
    this.series = new Map();
    /** @type {Map<string, object>} command records by id, oldest first */
    this.commands = new Map();
    /** @type {object[]} oldest first */
    this.notes = [];
    /** @type {Map<string, object>} by name */
    this.sources = new Map();
    this.operators = 0;
    this.session = { id: null, role: null, version: null, epoch: null, limits: null };
    this.fleetKnown = false; // true once the first snapshot came
    /** @type {{state: "recording"|"failing"|"off", since_ms: number, reason: string, waiting: number, lost: number, notice?: string}} */
    this.recording = { state: "off" };
    this.connection = { state: "connecting", lostAt: null, retryAt: null, closeCode: null, reason: "" };

    /** What was lost, merged and delayed. */
    this.health = new Health();
    this.latency = new Latency();

    /** Samples of the device that is open. */
    this.history = new History();

    this.listeners = new Map(EVENTS.map((event) => [event, new Set()]));
    this.sparks = 0;
    this.sparksSinceMs = Infinity; // the oldest sample that a sparkline can show
    this.coarseMs = 0; // readings may be so far apart because some were left out: the past in fast motion
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
      this.health.reset();
      this.notes = [];
      for (const [id, command] of this.commands) {
        if (!hasEnded(command)) this.commands.set(id, { ...command, lost: true });
      }
    }
    this.operators = message.operators ?? 0;
    this.recording = message.recording ?? { state: "off" }; // a bridge of before there was a history
    this.sources = new Map((message.sources ?? []).map((source) => [source.name, source]));
    this.notes = (message.notes ?? []).slice(-MAX_NOTES);
    for (const command of message.commands ?? []) this.#putCommand(command);
    for (const event of ["presence", "sources", "notes", "commands", "stats", "recording"]) this.emit(event);
  }

  /**
   * A snapshot came.
   * @param {import("./channels.js").Channel} channel
   * @param {number} nowMs the server's time
   */
  subscribed(channel, nowMs) {
    this.latency.begin(nowMs);
    // Every page follows the fleet, so counting there counts each break once.
    if (channel.name === "fleet" && channel.came in this.health.own) this.health.own[channel.came]++;
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
      this.sparksSinceMs = Infinity;
    } else {
      this.history.clear();
    }
    for (const device of message.devices) this.#putDevice(device);
    for (const series of message.series) this.#putSeries(series, true);
    this.emit("devices");
    if (message.channel !== "fleet") this.emit("history");
  }

  /** A `device` message. */
  device(message) {
    this.#changeDevice(message.device);
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
    const measure = frame.kind === KIND_READINGS;
    const live = measure || frame.kind === KIND_MERGED;
    if (!live && frame.kind !== KIND_RECENT) return;
    const touched = new Set();
    const horizon = nowMs - SPARK_SPAN_MS; // what is older says nothing about how long we have been watching
    const serverMs = frame.serverTimeUs / 1000;
    const { values, seriesIds, deltasUs, baseTimeUs, count } = frame;
    let current = null;
    let device = null;
    let newestMs = -Infinity; // measured, by a clock of a device
    for (let i = 0; i < count; i++) {
      const id = seriesIds[i];
      if (current === null || current.id !== id) {
        current = this.series.get(id) ?? null;
        device = current && this.devices.get(current.deviceId);
      }
      if (!device) continue;
      const timeUs = baseTimeUs + deltasUs[i];
      const timeMs = timeUs / 1000;
      if (measure) {
        // Devices tell whole milliseconds; the bridge's own stamp, taken where they tell nothing, does not stop there.
        if (timeUs % 1000 !== 0) device.clock = "none";
        else if (timeMs > serverMs) device.clock = "ahead";
        else if (timeMs > newestMs && device.clock !== "none") newestMs = timeMs;
      }
      if (live) this.#applyReading(current, device, timeMs, values[i], serverMs, measure);
      if (isFleet && current.spark) {
        current.spark.push(timeMs, values[i]);
        if (timeMs < this.sparksSinceMs && timeMs > horizon) this.sparksSinceMs = timeMs;
      } else if (!isFleet) this.history.keep(current, device.series.size, timeMs, values[i]);
      touched.add(current.deviceId);
    }
    if (live && channel === `device/${this.history.deviceId}`) this.history.framed(serverMs, !measure);
    if (measure) this.latency.note(newestMs, serverMs, nowMs, isFleet === (this.history.deviceId === null));
    this.emit("readings", touched);
    if (!isFleet) this.emit("history");
  }

  // ----- the past ---------------------------------------------------------------------------------------

  /**
   * The whole state as of another moment: nothing of the one before, which may be later, shines through.
   * @param {object} message a snapshot of a replay
   */
  rewind(message) {
    for (const device of this.devices.values()) Object.assign(device, { lastSeenMs: null, clock: "own" });
    for (const series of this.series.values()) {
      series.intervalMs = 0;
      series.spark?.clear();
    }
    this.history.clear();
    this.commands.clear();
    for (const command of message.commands ?? []) this.#putCommand(command);
    this.notes = (message.notes ?? []).slice(-MAX_NOTES);
    this.snapshot({ ...message, channel: "fleet" });
    for (const event of ["commands", "notes", "history", "rewound"]) this.emit(event);
  }

  /** Nothing is known of the moment that was asked for. */
  forget() {
    this.rewind({ devices: [], series: [] });
    this.fleetKnown = false;
    this.emit("devices");
  }

  /**
   * Readings of then. What a server's clock said when it sent them has no meaning here, only when they were measured.
   * @param {import("./frames.js").Frame} frame
   */
  replayed(frame) {
    const { kind, values, seriesIds, deltasUs, baseTimeUs, count } = frame;
    const isNew = kind === KIND_READINGS || kind === KIND_MERGED;
    const touched = new Set();
    let newestMs = -Infinity;
    for (let i = 0; i < count; i++) {
      const series = this.series.get(seriesIds[i]);
      const device = series && this.devices.get(series.deviceId);
      if (!device) continue;
      const timeMs = (baseTimeUs + deltasUs[i]) / 1000;
      if (timeMs > newestMs) newestMs = timeMs;
      if (timeMs < this.sparksSinceMs) this.sparksSinceMs = timeMs;
      if (isNew) this.#applyReading(series, device, timeMs, values[i], timeMs, true);
      series.spark?.push(timeMs, values[i]);
      this.history.keep(series, device.series.size, timeMs, values[i]);
      touched.add(device.id);
    }
    if (isNew && count > 0) this.history.framed(newestMs, kind === KIND_MERGED);
    this.emit("readings", touched);
    this.emit("history");
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

  /** A `recording` message. */
  setRecording({ state, since_ms, reason, waiting, lost, notice = "" }) {
    this.recording = { state, since_ms, reason, waiting, lost, notice };
    this.emit("recording");
  }

  /**
   * @param {object} counters since the bridge started
   * @param {number} at the server's time in ms
   */
  setStats(counters, at) {
    this.health.take(counters, at);
    this.emit("stats");
  }

  /**
   * We read too slowly, and get in one what changed meanwhile; the merged readings follow.
   * @param {object} message
   * @param {number} at our time in ms
   */
  lag(message, at) {
    this.health.lag(message.conflated, at);
    for (const device of message.devices ?? []) this.#changeDevice(device);
    for (const series of message.series ?? []) this.#putSeries(series, false);
    this.emit("devices");
    this.emit("stats");
  }

  /**
   * How far back sparklines reach. The same for all, so that they compare; short while the bridge is young, so that
   * its first minute is not a speck at the right edge.
   * @param {number} nowMs
   * @returns {number} milliseconds
   */
  sparkSpan(nowMs) {
    return Math.min(SPARK_SPAN_MS, Math.max(SPARK_LEAST_MS, nowMs - this.sparksSinceMs));
  }

  /** Commands of a device, newest first. */
  commandsOf(deviceId) {
    return [...this.commands.values()].filter((command) => command.device_id === deviceId).reverse();
  }

  // ----- inner workings ---------------------------------------------------------------------------------

  #changeDevice(told) {
    if (told.removed) this.#removeDevice(told.device_id);
    else this.#putDevice(told);
  }

  #putDevice(info) {
    let device = this.devices.get(info.device_id);
    if (!device) {
      device = { id: info.device_id, info, commandNames: [], commands: null, series: new Map(), lastSeenMs: null, clock: "own" };
      device.hasOwnClock = true;
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
    this.history.remove(id);
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

  #applyReading(series, device, timeMs, number, serverMs, isEach) {
    if (serverMs > (device.lastSeenMs ?? 0)) device.lastSeenMs = serverMs;
    if (series.timeMs !== null && timeMs < series.timeMs) return; // late: kept in the rings, not shown as the latest
    // Merged readings are further apart than the device sends them.
    if (isEach && series.timeMs !== null && timeMs > series.timeMs && series.quality !== "stale") {
      const interval = timeMs - series.timeMs;
      series.intervalMs = series.intervalMs === 0 ? interval : series.intervalMs * 0.9 + interval * 0.1;
    }
    series.value = decode(series, number);
    series.timeMs = timeMs;
    series.receivedMs = serverMs;
    series.quality = series.value === null ? "bad" : "good";
  }

  #putCommand(record) {
    this.commands.delete(record.id); // to the end: the one that changed last is the one that is forgotten last
    this.commands.set(record.id, record);
    if (this.commands.size > MAX_COMMANDS) this.commands.delete(this.commands.keys().next().value);
  }
}
