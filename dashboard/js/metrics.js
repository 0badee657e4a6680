// Which metric matters most, and how fresh a value is. Pure.

const AGED_FACTOR = 5; // silent for five times its usual interval
const AGED_MIN_MS = 30_000; // many sensors report only changes: half a minute of silence is normal

// Things a device says about itself rather than about what it measures.
const HOUSEKEEPING = /batt|rssi|signal|link_?quality|lqi|snr|uptime|heap|memory|wifi|last_?seen|version|firmware|seq/i;
const WANTED = /set_?point|target|desired|wanted/i;

/**
 * A device's series, the most telling first: measurements before states before housekeeping.
 * @param {Iterable<import("./model.js").Series>} series
 * @returns {import("./model.js").Series[]}
 */
export function byImportance(series) {
  const rank = (one) => {
    let points = one.kind === "number" ? 0 : one.kind === "boolean" ? 2 : one.kind === "text" ? 3 : 6;
    if (one.kind === "number" && one.unit === "") points += 1;
    if (isWanted(one)) points += 1;
    if (isHousekeeping(one)) points += 4;
    return points;
  };
  return [...series]
    .map((one, index) => ({ one, index, points: rank(one) }))
    .sort((a, b) => a.points - b.points || a.index - b.index)
    .map(({ one }) => one);
}

/** @param {import("./model.js").Series} series whether it is a wanted value, which holds until the next one */
export function isWanted(series) {
  return WANTED.test(series.metric);
}

/** @param {import("./model.js").Series} series whether the device speaks of itself: battery, signal, uptime */
export function isHousekeeping(series) {
  return HOUSEKEEPING.test(series.metric);
}

/**
 * How far a value can be trusted now.
 * @param {import("./model.js").Series} series
 * @param {number} nowMs the server's time
 * @returns {"fresh"|"aged"|"stale"|"bad"} aged: silent for unusually long; stale: retained, not confirmed by a live message
 */
export function freshness(series, nowMs) {
  if (series.quality === "bad" || series.value === null) return "bad";
  if (series.quality === "stale" || series.timeMs === null) return "stale";
  const limit = Math.max(AGED_MIN_MS, series.intervalMs * AGED_FACTOR);
  // With no interval known yet we cannot tell what is unusual; half an hour is old for anything.
  return nowMs - series.timeMs > (series.intervalMs > 0 ? limit : 1_800_000) ? "aged" : "fresh";
}

/**
 * Where the broker listens, from a source's address, for the commands that people copy.
 * @param {string} address "mqtt://host:1883", "host:1883" or "host"
 * @returns {{host: string, port: string}}
 */
export function hostAndPort(address) {
  const bare = String(address ?? "").replace(/^[a-z]+:\/\//i, "").replace(/^[^@]*@/, "").replace(/\/.*$/, "");
  const match = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(bare);
  return { host: match?.[1] || "localhost", port: match?.[2] || "1883" };
}
