// The socket's life: open, authenticate, follow channels, notice silence, come back. Messages go to the store.

import { backoffMs } from "./backoff.js";
import { Channels } from "./channels.js";
import { decodeFrame, KIND_MERGED, KIND_READINGS } from "./frames.js";
import { PendingCommands } from "./pending.js";

const SUBPROTOCOL = "fleetwire.v1";
const REPLAY = "replay";
const PING_MS = 10_000;
const FIRST_PINGS = 3; // the first ones sooner: while a page is being built, a round trip looks long
const FIRST_PING_MS = 1_500;
const SILENCE_MS = 25_000; // our own pings are answered every ten seconds; 25 s of nothing is a dead line
const PROBE_MS = 5_000; // after waking up: a live line answers within this

const CLOSE_WRONG_TOKEN = 4500;
const CLOSE_AUTH_TIMEOUT = 4502;
/** What to tell people about closes after which we do not come back on our own. */
const FINAL_REASONS = new Map([
  [4500, "That token was not accepted."],
  [4501, "The server closed the connection: this page sent messages it could not understand. Reload the page."],
  [4502, "The server waited for a token and got none."],
  [4503, "Access was revoked."],
]);

/** @returns {string} the address of the socket, beside the page */
function socketUrl() {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`;
}

/** @returns {string} a random id; `crypto.randomUUID` exists on https and localhost only */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export class Connection {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./clock.js").ServerClock} clock
   * @param {{createSocket?: () => WebSocket, random?: () => number, pingMs?: number, silenceMs?: number}} [options]
   */
  constructor(store, clock, options = {}) {
    this.store = store;
    this.clock = clock;
    this.createSocket = options.createSocket ?? (() => new WebSocket(socketUrl(), [SUBPROTOCOL]));
    this.random = options.random ?? Math.random;
    this.pingMs = options.pingMs ?? PING_MS;
    this.silenceMs = options.silenceMs ?? SILENCE_MS;
    this.channels = new Channels();
    /** @type {WebSocket|null} */
    this.socket = null;
    this.isWelcome = false;
    this.failures = 0;
    this.token = null;
    this.pending = new PendingCommands();
    this.heardAt = 0;
    this.pingedAt = 0;
    this.pings = 0; // of this connection
    this.retryTimer = 0;
    this.probeTimer = 0;
    this.watchdog = 0;
  }

  /** Connect, and stay connected. */
  start() {
    window.addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#wake());
    document.addEventListener("resume", () => this.#wake()); // a tab that the browser had frozen
    this.watchdog = setInterval(() => this.#watch(), Math.min(2_000, this.pingMs));
    this.#connect();
  }

  /** Try now instead of later; also after a close that was final. */
  retry() {
    this.failures = 0;
    this.#connect();
  }

  /**
   * Come back with this token.
   * @param {string} token
   */
  authenticate(token) {
    this.token = token;
    this.retry();
  }

  /**
   * Follow a channel, across reconnects.
   * @param {string} name
   * @returns {() => void} stops following
   */
  follow(name) {
    return this.#follow(name, null);
  }

  #follow(name, past) {
    const channel = this.channels.add(name, past);
    if (this.isWelcome) this.#send(this.channels.subscribeMessage(channel));
    return () => {
      if (this.channels.byName.get(name) !== channel) return;
      this.channels.remove(name);
      if (this.isWelcome && channel.id !== null) this.#send({ type: "unsubscribe", id: channel.id });
    };
  }

  /**
   * Follow moments of the past: one at a time, across reconnects.
   * @param {import("./replay.js").Replay} past is asked where to begin, and gets what comes
   * @returns {() => void} stops
   */
  replay(past) {
    return this.#follow(REPLAY, past);
  }

  /**
   * Ask the replay to go elsewhere, faster, or to wait.
   * @param {{at_ms?: number, speed?: number, paused?: boolean, step?: 1|-1}} change
   * @returns {boolean} whether it was sent: not while there is no replay to change
   */
  changeReplay(change) {
    const channel = this.channels.byName.get(REPLAY);
    if (!this.isWelcome || !channel || channel.id === null) return false;
    this.#send({ type: "replay", id: channel.id, ...change });
    return true;
  }

  /**
   * Run a command. What became of it is in the store, under the id.
   * @param {string} deviceId
   * @param {string} name
   * @param {object} args
   * @returns {string|null} its id; null when there is no connection and nothing was sent
   */
  sendCommand(deviceId, name, args) {
    if (!this.isWelcome) return null;
    const message = { type: "command", id: newId(), device_id: deviceId, name, args };
    this.pending.add(message, this.store.session.epoch, Date.now());
    this.#send(message);
    const { id } = message;
    this.store.command({
      ...{ id, device_id: deviceId, name, args, state: "sending", sent_by: this.store.session.id },
      ...{ times: { sending: this.clock.now() }, confirmed_by: null, value: null, error: null, late: false },
    });
    return id;
  }

  /**
   * @param {string} text
   * @returns {boolean} whether there was a connection to send it on
   */
  sendNote(text) {
    if (this.isWelcome) this.#send({ type: "note", text });
    return this.isWelcome;
  }

  // ----- the socket -------------------------------------------------------------------------------------

  #connect() {
    clearTimeout(this.retryTimer);
    this.#abandon();
    this.heardAt = Date.now();
    const socket = this.createSocket();
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = (event) => {
      if (socket === this.socket) this.#receive(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.#closed(event.code, event.reason);
    };
    this.store.setConnection({ state: "connecting", retryAt: null, closeCode: null, reason: "" });
  }

  /** Let go of the socket without waiting for its close, which on a dead line can take minutes. */
  #abandon() {
    const { socket } = this;
    this.socket = null;
    this.isWelcome = false;
    clearTimeout(this.probeTimer);
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
    this.channels.disconnected();
  }

  #closed(code, reason) {
    const wasLive = this.isWelcome;
    this.#abandon();
    const lostAt = wasLive ? Date.now() : this.store.connection.lostAt;
    if (code === CLOSE_WRONG_TOKEN || (code === CLOSE_AUTH_TIMEOUT && this.token === null)) {
      this.token = null;
      this.store.setConnection({ state: "auth", lostAt, retryAt: null, closeCode: code, reason: FINAL_REASONS.get(code) });
      return;
    }
    if (code >= 4500 && code <= 4999) {
      const why = FINAL_REASONS.get(code) ?? `The server refused the connection (${code}${reason ? `: ${reason}` : ""}).`;
      this.store.setConnection({ state: "offline", lostAt, retryAt: null, closeCode: code, reason: why });
      return;
    }
    this.failures++;
    const delay = backoffMs(this.failures, this.random());
    this.retryTimer = setTimeout(() => this.#connect(), delay);
    this.store.setConnection({ state: "offline", lostAt, retryAt: Date.now() + delay, closeCode: code, reason: "" });
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  #ping() {
    this.pingedAt = Date.now();
    this.pings++;
    this.#send({ type: "ping", client_time_ms: this.pingedAt });
  }

  #watch() {
    if (!this.socket) return;
    const now = Date.now();
    if (now - this.heardAt > this.silenceMs) this.#closed(1006, "silence");
    else this.#pingIfDue(now);
  }

  // Called for every message too: in a hidden tab browsers run timers once a minute, messages they deliver.
  #pingIfDue(now) {
    const due = this.pings < FIRST_PINGS ? Math.min(FIRST_PING_MS, this.pingMs) : this.pingMs;
    if (this.isWelcome && now - this.pingedAt >= due) this.#ping();
  }

  /** The computer woke up, the network is back, or somebody looks: find out now how things are. */
  #wake() {
    const { state, closeCode } = this.store.connection;
    if (state === "auth" || (state === "offline" && closeCode >= 4500 && closeCode <= 4999)) return;
    if (!this.isWelcome) {
      if (!this.socket || Date.now() - this.heardAt > PROBE_MS) this.#connect();
      return;
    }
    const askedAt = Date.now();
    this.#ping();
    clearTimeout(this.probeTimer);
    this.probeTimer = setTimeout(() => {
      if (this.heardAt < askedAt) this.#closed(1006, "silence");
    }, PROBE_MS);
  }

  // ----- messages ---------------------------------------------------------------------------------------

  #receive(data) {
    this.heardAt = Date.now();
    this.#pingIfDue(this.heardAt);
    try {
      if (typeof data === "string") this.#handle(JSON.parse(data));
      else this.#handleFrame(decodeFrame(data));
    } catch (error) {
      // One message that we cannot use must not cost the connection.
      console.error("fleetwire: a message could not be used", error);
    }
  }

  #handleFrame(frame) {
    const channel = this.channels.byNumber.get(frame.channelNo);
    if (!channel) return; // of a subscription that we have given up
    if (frame.kind === KIND_READINGS && !this.#advances(channel, frame.offset)) return;
    if (frame.kind === KIND_MERGED && !this.#judged(channel, this.channels.merged(channel, frame.offset))) return;
    if (channel.past) channel.past.readings(frame);
    else this.store.readings(channel.name, frame, this.clock.now());
  }

  #handle(message) {
    switch (message.type) {
      case "auth_required":
        return this.#authRequired();
      case "welcome":
        return this.#welcome(message);
      case "snapshot":
        return this.#snapshot(message);
      case "series":
        if (this.#advances(this.channels.of(message.channel), message.offset)) this.#storeOf(message).describeSeries(message);
        return;
      case "device":
        if (this.#advances(this.channels.of(message.channel), message.offset)) this.#storeOf(message).device(message);
        return;
      case "command":
        if (message.channel !== undefined) return this.#happened(message);
        this.pending.settle(message.id);
        return this.store.command(message);
      case "presence":
        return this.store.presence(message.operators);
      case "note":
        if (message.channel !== undefined) return this.#happened(message);
        return this.store.note(message);
      case "replay":
        return this.channels.of(message.channel)?.past?.told(message);
      case "recording":
        return this.store.setRecording(message);
      case "source":
        return this.store.source(message);
      case "stats":
        if (this.#advances(this.channels.byName.get(message.channel), message.offset)) this.store.setStats(message.counters, message.time_ms);
        return;
      case "lag":
        return this.#lag(this.channels.of(message.channel), message);
      case "ping":
        return this.#send({ type: "pong" });
      case "pong":
        this.clock.pong(message.client_time_ms, message.server_time_ms);
        this.store.emit("connection");
        return;
      case "error":
        return this.#error(message);
      default:
      // A newer server says more than we know: that is its right.
    }
  }

  #authRequired() {
    if (this.token !== null) {
      this.#send({ type: "auth", token: this.token });
      return;
    }
    // Typing takes longer than the server waits, so hang up and come back with the token.
    this.#abandon();
    this.store.setConnection({ state: "auth", retryAt: null, closeCode: null, reason: "" });
  }

  #welcome(message) {
    this.isWelcome = true;
    this.failures = 0;
    this.pings = 0;
    this.clock.reset(message.server_time_ms);
    this.store.welcome(message);
    for (const command of message.commands ?? []) this.pending.settle(command.id);
    const { again, lost } = this.pending.review(message.epoch, Date.now());
    for (const command of again) this.#send(command);
    for (const id of lost) this.store.command({ ...this.store.commands.get(id), lost: true });
    for (const channel of this.channels.byName.values()) this.#send(this.channels.subscribeMessage(channel));
    this.#ping();
    this.store.setConnection({ state: "live", lostAt: null, retryAt: null, closeCode: null, reason: "" });
  }

  #snapshot(message) {
    const channel = this.channels.snapshot(message);
    if (!channel) return;
    if (channel.past) return channel.past.snapshot(message);
    this.store.subscribed(channel, this.clock.now());
    if (message.recovered) return;
    if (channel.name === "stats") this.store.setStats(message.counters, this.clock.now());
    else this.store.snapshot(message);
  }

  /** @returns {Store} where a message of a channel belongs */
  #storeOf(message) {
    return this.channels.of(message.channel)?.past?.store ?? this.store;
  }

  /** A command or a note as of then: of a replay, and never mixed with those of now. */
  #happened(message) {
    const channel = this.channels.of(message.channel);
    if (!channel?.past || channel.waiting) return;
    if (message.offset !== undefined && !this.#advances(channel, message.offset)) return;
    channel.past.store[message.type](message);
  }

  #lag(channel, message) {
    if (this.#judged(channel, this.channels.lag(channel, message))) (channel.past?.store ?? this.store).lag(message, Date.now());
  }

  #advances(channel, offset) {
    return this.#judged(channel, this.channels.advance(channel, offset));
  }

  /** Whether a numbered message is to be applied. */
  #judged(channel, verdict) {
    if (verdict === "gap") {
      // Should not happen on an ordered line; if it does, the server sends what is missing.
      this.#send({ type: "unsubscribe", id: channel.id });
      this.#send(this.channels.subscribeMessage(channel));
    }
    return verdict === "apply";
  }

  #error(message) {
    if (this.pending.settle(message.ref)) {
      const { code, message: text } = message;
      this.store.command({ ...this.store.commands.get(message.ref), refused: { code, message: text } });
      return;
    }
    for (const channel of this.channels.byName.values()) {
      if (channel.id === message.ref && channel.past) return channel.past.refused(message);
      if (channel.id === message.ref) this.channels.remove(channel.name); // an unknown device: nothing to follow
    }
    if (message.code !== "unknown_device") console.warn(`fleetwire: ${message.code}: ${message.message}`);
  }
}
