// Text of devices for a library that reads markup in it. Pure.

const MAX_LENGTH = 80;

// Look-alikes that mean nothing to a parser. Plotly reads pseudo-HTML (<a>, <span style>), HTML entities, %{…} in hover
// templates and $…$ as mathematics; it has no switch to turn any of that off.
const HARMLESS = new Map([
  ["<", "\u2039"],
  [">", "\u203a"],
  ["&", "\uff06"],
  ["%", "\uff05"],
  ["$", "\uff04"],
  ["{", "\uff5b"],
  ["}", "\uff5d"],
  ["\\", "\uff3c"],
]);

/**
 * Text that Plotly shows as it is.
 * @param {unknown} text
 * @returns {string}
 */
export function plotlyText(text) {
  const clean = String(text ?? "")
    .slice(0, MAX_LENGTH)
    // Control characters and direction overrides.
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, " ");
  return clean.replace(/[<>&%${}\\]/g, (character) => HARMLESS.get(character));
}
