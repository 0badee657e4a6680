// Addresses within the page: "#/" is the fleet, "#/device/<encoded id>" one device, "#/explore?..." the charts of any
// time. "?at=<ms>" behind any of them is a moment of the past. Pure.

// As the server: between these any time can be told in a double without loss, and every Date exists.
const MAX_MS = 8.64e15;

/**
 * @typedef {object} Route
 * @property {"fleet"|"device"|"explore"} page
 * @property {string} [deviceId] on page "device"
 * @property {number|null} at the moment shown, in milliseconds since 1970; null: now
 * @property {URLSearchParams} params all that stands behind the question mark, but `at`
 */

/**
 * @param {string} hash
 * @returns {Route}
 */
export function parseRoute(hash) {
  const [path, query = ""] = splitOnce(hash.replace(/^#/, ""), "?");
  const params = new URLSearchParams(query);
  const at = parseMoment(params.get("at"));
  params.delete("at");
  if (path === "/explore") return { page: "explore", at, params };
  const match = /^\/device\/([^/]+)$/.exec(path);
  if (!match) return { page: "fleet", at, params };
  try {
    return { page: "device", deviceId: decodeURIComponent(match[1]), at, params };
  } catch {
    return { page: "fleet", at, params }; // a broken percent sign
  }
}

/** @param {string} deviceId */
export function deviceHref(deviceId) {
  return `#/device/${encodeURIComponent(deviceId)}`;
}

/**
 * The same address at another moment.
 * @param {string} hash
 * @param {number|null} at null: now
 * @returns {string}
 */
export function atMoment(hash, at) {
  const [path, query = ""] = splitOnce(hash || "#/", "?");
  const params = new URLSearchParams(query);
  params.delete("at");
  if (at !== null) params.set("at", String(Math.round(at)));
  const tail = params.toString();
  return tail ? `${path}?${tail}` : path;
}

/** @param {string|null} text milliseconds, or ISO 8601 as people write it into a link by hand */
function parseMoment(text) {
  if (text === null || text.trim() === "") return null;
  const ms = /^-?\d+$/.test(text.trim()) ? Number(text) : Date.parse(text);
  return Number.isFinite(ms) && Math.abs(ms) <= MAX_MS ? ms : null;
}

function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
