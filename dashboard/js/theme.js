// Light or dark, and the colours of the style sheet for what is drawn on canvas.

const KEY = "fleetwire.theme";
export const THEMES = Object.freeze(["auto", "light", "dark"]);

const system = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
/** @type {Map<string, string>} */
const colours = new Map();

/** @returns {"auto"|"light"|"dark"} what was chosen */
export function chosenTheme() {
  try {
    const stored = localStorage.getItem(KEY);
    return THEMES.includes(stored) ? stored : "auto";
  } catch {
    return "auto"; // storage may be forbidden; the page works without
  }
}

/** @param {"auto"|"light"|"dark"} theme */
export function chooseTheme(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It lasts until the page is closed.
  }
  apply(theme);
}

function apply(theme) {
  document.documentElement.dataset.theme = theme === "auto" ? (system.matches ? "dark" : "light") : theme;
  colours.clear();
  for (const listener of listeners) listener();
}

system.addEventListener("change", () => apply(chosenTheme()));

/**
 * @param {() => void} listener called after the colours have changed
 * @returns {() => void} stops listening
 */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * A colour, or any other token, of styles/tokens.css.
 * @param {string} name "--accent"
 * @returns {string}
 */
export function token(name) {
  let value = colours.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    colours.set(name, value);
  }
  return value;
}

export const SERIES_COLOURS = 8;

/** @param {number} index of a line in a chart */
export function seriesColour(index) {
  return token(`--series-${(index % SERIES_COLOURS) + 1}`);
}
