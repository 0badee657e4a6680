// From a command's JSON Schema to the fields of a form, and from what was typed to arguments. Pure.
//
// The schema comes from a device. It is read defensively: what we do not understand becomes a JSON field, patterns
// are left to the server (a browser's regular expressions can be made to run for minutes), sizes are bounded.

const MAX_FIELDS = 40;
const MAX_OPTIONS = 200; // beyond this a list is no help; the field becomes a text that is checked against the list
const MAX_LABEL = 80;

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} description
 * @property {"number"|"integer"|"boolean"|"string"|"enum"|"json"} type
 * @property {boolean} required
 * @property {number|null} min
 * @property {number|null} max
 * @property {boolean} exclusiveMin
 * @property {boolean} exclusiveMax
 * @property {number|null} step
 * @property {string} unit
 * @property {unknown} initial what the form begins with; undefined: nothing
 * @property {unknown[]|null} options of an enum
 * @property {boolean} isLong an enum too long for a list
 * @property {number|null} minLength
 * @property {number|null} maxLength
 */

/**
 * The fields of a form.
 * @param {unknown} schema
 * @returns {Field[]}
 */
export function fieldsOf(schema) {
  const properties = isObject(schema) && isObject(schema.properties) ? Object.entries(schema.properties) : [];
  const required = new Set(isObject(schema) && Array.isArray(schema.required) ? schema.required : []);
  return properties.slice(0, MAX_FIELDS).map(([name, property]) => field(name, property, required.has(name)));
}

function field(name, property, required) {
  const spec = isObject(property) ? property : {};
  const options = Array.isArray(spec.enum) ? spec.enum : "const" in spec ? [spec.const] : null;
  const type = options ? "enum" : typeOf(spec.type);
  const exclusiveMin = finite(spec.exclusiveMinimum);
  const exclusiveMax = finite(spec.exclusiveMaximum);
  return {
    name,
    label: label(spec.title) || label(name),
    description: text(spec.description, 300),
    type,
    required,
    min: exclusiveMin ?? finite(spec.minimum),
    max: exclusiveMax ?? finite(spec.maximum),
    exclusiveMin: exclusiveMin !== null,
    exclusiveMax: exclusiveMax !== null,
    step: positive(spec.multipleOf) ?? (type === "integer" ? 1 : null),
    unit: text(spec.unit, 16),
    initial: spec.default ?? (options?.length === 1 ? options[0] : undefined),
    options,
    isLong: options !== null && options.length > MAX_OPTIONS,
    minLength: finite(spec.minLength),
    maxLength: finite(spec.maxLength),
  };
}

/**
 * A step for a slider between two bounds: at most some hundred positions, at round numbers.
 * @param {Field} field
 * @returns {number}
 */
export function sliderStep(field) {
  if (field.step !== null) return field.step;
  return 10 ** Math.floor(Math.log10((field.max - field.min) / 100));
}

/** @param {Field} field whether a slider makes sense */
export function hasSlider(field) {
  const isNumber = field.type === "number" || field.type === "integer";
  return isNumber && field.min !== null && field.max !== null && field.max > field.min;
}

/**
 * What was typed, as a value.
 * @param {Field} field
 * @param {string|boolean} raw a checkbox's state, or a text; of an enum the index of the option ("" for none)
 * @returns {{value?: unknown, problem?: string}} neither: the field was left empty, and may be
 */
export function read(field, raw) {
  if (field.type === "boolean") return { value: raw === true };
  if (raw === "" && field.type !== "string") return field.required ? { problem: "Required" } : {};
  switch (field.type) {
    case "enum":
      return readOption(field, String(raw));
    case "number":
    case "integer":
      return readNumber(field, String(raw));
    case "json":
      try {
        return { value: JSON.parse(String(raw)) };
      } catch {
        return { problem: "Not valid JSON" };
      }
    default:
      return readText(field, String(raw));
  }
}

/**
 * Arguments from fields. Built so that a field named __proto__ is a field like any other.
 * @param {[string, unknown][]} entries
 */
export function toArgs(entries) {
  return Object.fromEntries(entries);
}

function readOption(field, raw) {
  if (field.isLong) {
    const found = field.options.find((option) => optionLabel(option) === raw);
    return found === undefined ? { problem: "Not one of the values that the device accepts" } : { value: found };
  }
  const index = Number(raw);
  return Number.isInteger(index) && index in field.options ? { value: field.options[index] } : { problem: "Choose one" };
}

function readNumber(field, raw) {
  const value = Number(raw.trim().replace(",", "."));
  if (raw.trim() === "" || !Number.isFinite(value)) return { problem: "Not a number" };
  if (field.type === "integer" && !Number.isInteger(value)) return { problem: "Must be a whole number" };
  if (field.min !== null && (field.exclusiveMin ? value <= field.min : value < field.min)) {
    return { problem: `Must be ${field.exclusiveMin ? "more than" : "at least"} ${field.min}` };
  }
  if (field.max !== null && (field.exclusiveMax ? value >= field.max : value > field.max)) {
    return { problem: `Must be ${field.exclusiveMax ? "less than" : "at most"} ${field.max}` };
  }
  if (field.step !== null) {
    const steps = value / field.step;
    if (Math.abs(steps - Math.round(steps)) > 1e-9 * Math.max(1, Math.abs(steps))) {
      return { problem: `Must be a multiple of ${field.step}` };
    }
  }
  return { value };
}

function readText(field, raw) {
  const length = [...raw].length;
  if (raw === "" && !field.required && (field.minLength ?? 0) > 0) return {};
  if (raw === "" && !field.required && field.initial === undefined) return {};
  if (raw === "" && field.required && (field.minLength ?? 0) > 0) return { problem: "Required" };
  if (field.minLength !== null && length < field.minLength) return { problem: `At least ${field.minLength} characters` };
  if (field.maxLength !== null && length > field.maxLength) return { problem: `At most ${field.maxLength} characters` };
  return { value: raw };
}

/** @param {unknown} option how an option of an enum is shown */
export function optionLabel(option) {
  return text(typeof option === "string" ? option : JSON.stringify(option), MAX_LABEL);
}

function typeOf(type) {
  const one = Array.isArray(type) ? type.find((candidate) => candidate !== "null") : type;
  return one === "number" || one === "integer" || one === "boolean" || one === "string" ? one : "json";
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const positive = (value) => (finite(value) !== null && value > 0 ? value : null);
const text = (value, length) => (typeof value === "string" ? value.slice(0, length) : "");

/** "set_point" is "Set point". */
export function label(value) {
  const words = text(value, MAX_LABEL).replace(/[_]+/g, " ").trim();
  return words && words[0].toUpperCase() + words.slice(1);
}
