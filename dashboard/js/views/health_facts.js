// Short facts of the details panel, as pairs of a name and a value. Pure.

import { formatCount, formatDuration, formatLatency, formatMoment, plural } from "../format.js";

const SECOND_MS = 1_000;

/**
 * This page's own connection.
 * @param {import("../health.js").Health["own"]} own
 * @param {import("../clock.js").ServerClock} clock
 * @returns {[string, string, string?][]}
 */
export function ownFacts(own, clock) {
  const { latencyMs, uncertaintyMs, offsetMs } = clock;
  const facts = [["Round trip to the bridge", latencyMs === null ? "not measured yet" : `${Math.max(1, Math.round(latencyMs))} ms`]];
  facts.push(["This computer's clock", uncertaintyMs === null ? "not compared yet" : clockWords(offsetMs, uncertaintyMs)]);
  const merged = `${plural(own.lagged, "time")}, ${plural(own.merged, "reading")} left out`;
  facts.push(["Merged because this page reads slowly", own.lagged === 0 ? "never" : merged, own.lagged === 0 ? undefined : "warn"]);
  facts.push(["Came back and missed nothing", own.resumed === 0 ? "never needed" : plural(own.resumed, "time")]);
  const skipped = own.restarted + own.overrun;
  facts.push(["Started over, with a gap", skipped === 0 ? "never" : plural(skipped, "time"), skipped === 0 ? undefined : "warn"]);
  return facts;
}

/**
 * @param {Iterable<object>} sources as `welcome` and `source` tell them
 * @param {number} nowMs the server's time
 * @returns {[string, string, string?][]}
 */
export function sourceFacts(sources, nowMs) {
  const facts = [];
  for (const source of sources) {
    const since = source.state === "connected" ? `connected ${formatDuration(nowMs - source.since_ms)}` : `${source.state} since ${formatMoment(source.since_ms, nowMs)}`;
    const { dropped } = source;
    const lost = Number.isFinite(dropped) ? `${formatCount(dropped)} dropped, for any of its clients` : "does not say what it drops";
    facts.push([String(source.address || source.name), `${since} · ${lost}`, dropped > 0 || source.state !== "connected" ? "warn" : undefined]);
  }
  return facts.length ? facts : [["None", ""]];
}

/** @param {number} offsetMs how far the bridge's clock is ahead */
function clockWords(offsetMs, uncertaintyMs) {
  const size = Math.abs(offsetMs);
  const error = `± ${uncertaintyMs < 10 ? uncertaintyMs.toFixed(1) : Math.round(uncertaintyMs)} ms`;
  if (size <= uncertaintyMs) return `right, ${error}`;
  const amount = size < SECOND_MS ? formatLatency(size) : size < 60 * SECOND_MS ? `${(size / SECOND_MS).toFixed(2)} s` : formatDuration(size);
  return `${amount} ${offsetMs > 0 ? "behind" : "ahead of"} the bridge's, ${error}; corrected`;
}
