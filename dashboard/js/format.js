// Numbers, units, ages and dates as people read them. Pure.

const NO_VALUE = "no value";
const MAX_TEXT = 200;

/** @type {Map<number, Intl.NumberFormat>} */
const formats = new Map();

function fixed(digits) {
  let format = formats.get(digits);
  if (!format) {
    // The thousands separator is a thin space by hand below: commas and points mean different things to different people.
    format = new Intl.NumberFormat("en", {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      useGrouping: false,
    });
    formats.set(digits, format);
  }
  return format;
}

/**
 * @param {number} value
 * @param {number|null|undefined} precision digits after the point, as the device declared; else what the size calls for
 * @returns {string}
 */
export function formatNumber(value, precision) {
  if (!Number.isFinite(value)) return NO_VALUE;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e12 || size < 1e-4)) return value.toExponential(3).replace("-", "\u2212");
  let text;
  if (Number.isInteger(precision) && precision >= 0) {
    text = fixed(Math.min(precision, 10)).format(value);
  } else if (Number.isInteger(value)) {
    text = fixed(0).format(value);
  } else {
    const digits = size >= 1000 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 3 : 5;
    text = String(Number(value.toFixed(digits)));
  }
  if (/^-0(\.0*)?$/.test(text)) text = text.slice(1);
  if (size >= 10_000) {
    const [whole, rest] = text.split(".");
    text = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (rest === undefined ? "" : `.${rest}`);
  }
  return text.replace("-", "\u2212");
}

/**
 * How many of something, in a few characters: "312", "12.4 k", "3.1 M".
 * @param {number} count
 */
export function formatCount(count) {
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    const unit = letter === "k" ? 1e3 : size;
    // Cut off, not rounded: 999 999 is not yet a million.
    if (count >= size) return `${formatNumber(Math.floor((count / unit) * 10) / 10, 1)} ${letter}`;
  }
  return formatNumber(count, 0);
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  if (bytes < 10_000) return `${formatNumber(bytes, 0)} B`;
  return `${formatCount(bytes)}B`;
}

/**
 * A series' value without its unit.
 * @param {{kind: string, precision: number|null}} series
 * @param {number|boolean|string|null} value
 */
export function formatValue(series, value) {
  if (value === null || value === undefined) return NO_VALUE;
  if (typeof value === "boolean") return value ? "On" : "Off";
  if (typeof value === "number") return formatNumber(value, series.precision);
  if (typeof value === "string") return value === "" ? "(empty)" : clip(value);
  return clip(JSON.stringify(value));
}

/**
 * Any value that a command took or gave.
 * @param {unknown} value
 */
export function formatAny(value) {
  if (typeof value === "number") return formatNumber(value);
  if (typeof value === "string") return clip(value);
  return clip(JSON.stringify(value) ?? "");
}

/**
 * Arguments of a command in one line: "value 21.5, unit °C".
 * @param {Record<string, unknown>} args
 */
export function formatArgs(args) {
  return Object.entries(args ?? {})
    .map(([name, value]) => `${clip(name, 40)} ${formatAny(value)}`)
    .join(", ");
}

/**
 * @param {string} text
 * @param {number} [length]
 */
export function clip(text, length = MAX_TEXT) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/**
 * How long something lasted or how long ago it was: "3 s", "2 min", "4 h", "5 d".
 * @param {number} ms
 */
export function formatDuration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/**
 * The age of a value. What is younger than two seconds is "now": a number that flickers between 0 and 1 tells nothing.
 * @param {number|null} thenMs
 * @param {number} nowMs
 */
export function formatAge(thenMs, nowMs) {
  if (thenMs === null || thenMs === undefined) return "age unknown";
  const age = nowMs - thenMs;
  if (age < -5_000) return "in the future";
  return age < 2_000 ? "now" : formatDuration(age);
}

/**
 * Milliseconds of a step: "4 ms", "1.2 s".
 * @param {number} ms
 */
export function formatLatency(ms) {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return formatDuration(ms);
}

const pad = (number) => String(number).padStart(2, "0");

/** @param {number} ms */
export function formatTime(ms) {
  const date = new Date(ms);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/**
 * Time of day for what happened today, with the date for what is older.
 * @param {number|null} ms
 * @param {number} nowMs
 */
export function formatMoment(ms, nowMs) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "never";
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "never";
  const today = new Date(nowMs).toDateString() === date.toDateString();
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return today ? formatTime(ms) : `${day} ${formatTime(ms)}`;
}

/**
 * A number of things: "1 device", "12 devices".
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return `${formatNumber(count, 0)} ${noun}${count === 1 ? "" : "s"}`;
}

const dates = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/**
 * A moment in full, by the local clock: "22 Nov 2026 14:03:05".
 * @param {number} ms
 */
export function formatInstant(ms) {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? `${dates.format(ms)} ${formatTime(ms)}` : "";
}

/**
 * The time zone of the local clock then, which may have been summer time: "CET", "GMT+5:30".
 * @param {number} ms
 */
export function zoneName(ms) {
  if (!Number.isFinite(ms)) return "";
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(ms);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}
