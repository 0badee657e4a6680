// Questions to the server's history, over HTTP. Answers come as binary columns, which typed arrays are mapped onto.

const API = "/api/v1";
const COLUMNS = "application/vnd.fleetwire.columns";
// A question about years of many series may take seconds; who waits longer than this had better be told.
const PATIENCE_MS = 30_000;
/** Most points of one series that the server gives in one answer. */
export const MAX_POINTS = 20_000;

/** What went wrong with a question, in the server's words where it had any. */
export class ArchiveError extends Error {
  /**
   * @param {string} code as the server tells it; our own: unreachable, slow, bad_answer
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "ArchiveError";
    this.code = code;
  }
}

/**
 * @typedef {object} ArchiveSeries
 * @property {number} seriesId
 * @property {string} deviceId
 * @property {string} metric
 * @property {string} name
 * @property {"number"|"boolean"|"text"|"unknown"} kind
 * @property {string} unit
 * @property {number|null} precision
 * @property {string[]} texts
 * @property {"readings"|"minutes"|"hours"} resolution
 * @property {number} widthMs two points for each so many milliseconds; 0: every reading
 * @property {Float64Array} times in ms, ascending
 * @property {Float64Array} values NaN: no value, or the beginning of a gap; booleans 0 and 1; texts as index into `texts`
 */

/**
 * Some series over [from, to).
 * @param {{seriesIds: number[], from: number, to: number, points: number, signal?: AbortSignal}} question
 * @returns {Promise<{fromMs: number, toMs: number, series: ArchiveSeries[]}>} rejects with ArchiveError, or AbortError
 */
export async function fetchHistory({ seriesIds, from, to, points, signal }) {
  const query = selection(seriesIds, from, to);
  query.set("points", String(Math.min(MAX_POINTS, Math.max(2, Math.ceil(points)))));
  query.set("format", "binary");
  const response = await ask("history", query, COLUMNS, signal);
  return parseColumns(await body(response, "arrayBuffer"));
}

/**
 * @typedef {object} Statistics of the readings in a span; null where there are none
 * @property {number} seriesId
 * @property {number} count
 * @property {number|null} min
 * @property {number|null} max
 * @property {number|null} mean
 * @property {number|null} first
 * @property {number|null} last
 * @property {number|null} minTimeMs
 * @property {number|null} maxTimeMs
 */

/**
 * @param {{seriesIds: number[], from: number, to: number, signal?: AbortSignal}} question
 * @returns {Promise<Statistics[]>}
 */
export async function fetchStatistics({ seriesIds, from, to, signal }) {
  const told = await askJson("statistics", selection(seriesIds, from, to), signal);
  return list(told.statistics ?? told.series).map((one) => ({
    seriesId: one.series_id,
    count: one.count ?? 0,
    min: one.min ?? null,
    max: one.max ?? null,
    mean: one.mean ?? null,
    first: one.first ?? null,
    last: one.last ?? null,
    minTimeMs: one.min_time_ms ?? null,
    maxTimeMs: one.max_time_ms ?? null,
  }));
}

/**
 * @param {{from: number, to: number, kinds?: string[], deviceId?: string, limit?: number, order?: "newest"|"oldest",
 *   signal?: AbortSignal}} question
 * @returns {Promise<{eventId: number, timeMs: number, kind: string, deviceId: string|null, data: object}[]>}
 */
export async function fetchEvents({ from, to, kinds = [], deviceId, limit, order, signal }) {
  const query = selection([], from, to);
  for (const kind of kinds) query.append("kind", kind);
  if (deviceId !== undefined) query.set("device_id", deviceId);
  if (limit !== undefined) query.set("limit", String(limit));
  if (order !== undefined) query.set("order", order);
  const told = await askJson("events", query, signal);
  return list(told.events).map((one) => ({
    eventId: one.event_id,
    timeMs: one.time_ms,
    kind: one.kind,
    deviceId: one.device_id ?? null,
    data: one.data ?? {},
  }));
}

/**
 * From when to when there is anything; null where there is nothing.
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<{firstMs: number|null, lastMs: number|null, nowMs: number|null, keptFromMs: object}>}
 */
export async function fetchSpan({ signal } = {}) {
  const told = await askJson("span", new URLSearchParams(), signal);
  return {
    firstMs: told.first_ms ?? null,
    lastMs: told.last_ms ?? null,
    nowMs: told.now_ms ?? null,
    keptFromMs: told.kept_from_ms ?? {},
  };
}

/**
 * The address of a download: every reading of a span, or a report on it.
 * @param {"history"|"report"} what
 * @param {{seriesIds?: number[], deviceId?: string, from: number, to: number, format: string, [field: string]: any}} wanted
 *   further fields (`tz`, `title`) are passed on
 */
export function downloadUrl(what, { seriesIds = [], deviceId, from, to, ...fields }) {
  const query = selection(seriesIds, from, to);
  if (deviceId !== undefined) query.set("device_id", deviceId);
  for (const [name, value] of Object.entries(fields)) if (value) query.set(name, String(value));
  return `${API}/${what}?${query}`;
}

/**
 * The binary format: u32 length of a JSON head, the head, then times and values of each series in turn.
 * @param {ArrayBuffer} buffer
 * @returns {{fromMs: number, toMs: number, series: ArchiveSeries[]}}
 */
export function parseColumns(buffer) {
  try {
    const length = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    let at = 4 + length;
    const column = (count) => {
      if (!Number.isInteger(count) || count < 0) throw new RangeError("a column without a length");
      const mapped = new Float64Array(buffer, at, count); // throws when it would reach beyond the end
      at += 8 * count;
      return mapped;
    };
    const series = list(head.series).map((one) => ({
      seriesId: one.series_id,
      deviceId: one.device_id,
      metric: one.metric,
      name: one.name || one.metric,
      kind: one.kind,
      unit: one.unit ?? "",
      precision: one.precision ?? null,
      texts: one.texts ?? [],
      resolution: one.resolution,
      widthMs: one.width_ms ?? 0,
      times: column(one.count),
      values: column(one.count),
    }));
    return { fromMs: head.from_ms, toMs: head.to_ms, series };
  } catch (error) {
    throw new ArchiveError("bad_answer", `The server's answer could not be read: ${error.message}`);
  }
}

function selection(seriesIds, from, to) {
  const query = new URLSearchParams();
  for (const id of seriesIds) query.append("series_id", String(id));
  query.set("from", String(Math.floor(from)));
  query.set("to", String(Math.ceil(to)));
  return query;
}

async function askJson(path, query, signal) {
  return body(await ask(path, query, "application/json", signal), "json");
}

async function ask(path, query, accept, signal) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const either = signal ? AbortSignal.any([signal, patience]) : patience;
  const text = query.toString();
  let response;
  try {
    response = await fetch(`${API}/${path}${text && `?${text}`}`, { headers: { Accept: accept }, credentials: "same-origin", signal: either });
  } catch (error) {
    throw whatHappened(error);
  }
  if (response.ok) return response;
  const told = await response.json().then((answer) => answer?.error, () => null);
  throw new ArchiveError(told?.code ?? `http_${response.status}`, told?.message ?? `The server answered with ${response.status}.`);
}

async function body(response, as) {
  try {
    return await response[as]();
  } catch (error) {
    if (error instanceof SyntaxError) throw new ArchiveError("bad_answer", "The server's answer could not be read.");
    throw whatHappened(error);
  }
}

function whatHappened(error) {
  if (error.name === "AbortError") return error; // somebody no longer wants to know
  if (error.name === "TimeoutError") return new ArchiveError("slow", "The server took too long to answer.");
  return new ArchiveError("unreachable", "The bridge cannot be reached.");
}

const list = (value) => (Array.isArray(value) ? value : []);
