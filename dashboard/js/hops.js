// Every counter in plain words, in the order in which a reading passes them. The full texts are in docs/protocol.md.

/**
 * @typedef {object} Counter
 * @property {string} name as the bridge calls it
 * @property {string} words
 * @property {"bytes"|"count"} unit
 */

const count = (name, words) => ({ name, words, unit: "count" });
const bytes = (name, words) => ({ name, words, unit: "bytes" });

/** @type {readonly {title: string, counters: Counter[]}[]} */
export const HOPS = Object.freeze([
  {
    title: "Device to bridge",
    counters: [
      count("received", "messages received"),
      bytes("received_bytes", "their size"),
      count("broker_dropped", "dropped by the broker, for any of its clients"),
      count("shed", "dropped because they came too fast (QoS 0, oldest first)"),
      count("source_errors", "lost to a defect of ours: see the bridge's log"),
      count("duplicates", "duplicates: delivered again by the broker, taken once"),
      count("ignored", "not telemetry (commands on their way, cleared topics)"),
    ],
  },
  {
    title: "In the bridge",
    counters: [
      count("readings", "readings taken from messages"),
      count("rejected", "rejected: messages or values not taken"),
      count("late", "late: older than the newest of their series: kept, not shown as the latest"),
      count("retained", "retained values: of unknown age, never taken as new"),
      count("clock_suspect", "messages whose time cannot be right: ours was taken"),
      count("inexact", "integers beyond 2^53, kept as the nearest double"),
      count("batches", "batches made"),
    ],
  },
  {
    title: "Bridge to disk",
    counters: [
      count("recorded", "readings safe on disk"),
      count("unrecorded", "not recorded: the disk refused them for too long (QoS 0 only)"),
      count("sealed", "readings compressed"),
      count("recorded_twice", "recorded already: kept once"),
      count("conflicts", "refused: the history has another value for that time"),
      count("forgotten", "pieces forgotten: too old, or to make room"),
      count("damaged", "damaged pieces, left out"),
    ],
  },
  {
    title: "Bridge to all dashboards",
    counters: [
      count("conflated", "conflated: merged into a newer reading of their series on the fleet page"),
      count("frames_sent", "frames and messages sent"),
      bytes("bytes_sent", "their size"),
      count("lagged", "times a dashboard fell behind"),
      count("merged", "readings merged for dashboards that fell behind"),
      count("dropped", "messages skipped for a dashboard too far behind to merge"),
      count("resumed", "dashboards that came back and got exactly what they had missed"),
      count("not_resumed", "dashboards that came back too late and got a snapshot"),
      count("closed_slow", "dashboards closed because they did not read"),
      count("closed_silent", "dashboards closed because they went silent"),
    ],
  },
  {
    title: "Access and commands",
    counters: [
      count("turned_away", "dashboards asked to come back later: too many"),
      count("refused", "connections refused (token, origin, host)"),
      count("closed_unauthenticated", "connections closed: no token in time"),
      count("closed_headers", "connections cut: no request in time"),
      count("commands", "commands accepted"),
      count("commands_refused", "commands refused before they were sent"),
    ],
  },
]);

const KNOWN = new Set(HOPS.flatMap((hop) => hop.counters.map((counter) => counter.name)));
/** How many there are now, and delays: no counters. */
const GAUGES = new Set(["devices", "series", "operators", "delay_p50_ms", "delay_p99_ms"]);

/**
 * Counters of a newer bridge, under their own names.
 * @param {object} counters
 * @returns {Counter[]}
 */
export function unknownCounters(counters) {
  const names = Object.keys(counters).filter((name) => !KNOWN.has(name) && !GAUGES.has(name) && typeof counters[name] === "number");
  return names.map((name) => count(name, name.replaceAll("_", " ")));
}
