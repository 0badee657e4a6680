// The signs of the time bar, as everybody knows them from players.

import { svg } from "../dom.js";

const PATHS = new Map([
  ["play", "M4 2.5v11l9.5-5.5z"],
  ["pause", "M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z"],
  ["back", "M2.5 2.5h2v11h-2zM13.5 2.5v11L5.5 8z"],
  ["forward", "M11.5 2.5h2v11h-2zM2.5 2.5v11l8-5.5z"],
  ["previous", "M8 2.5v11L1 8zM15 2.5v11L8 8z"],
  ["next", "M8 2.5v11l7-5.5zM1 2.5v11l7-5.5z"],
  ["minus", "M3 7h10v2H3z"],
  ["plus", "M3 7h4V3h2v4h4v2H9v4H7V9H3z"],
  ["link", "M6.2 9.8a.9.9 0 0 1 0-1.3l2.3-2.3a.9.9 0 1 1 1.3 1.3L7.5 9.8a.9.9 0 0 1-1.3 0zM7 4.5 8.6 2.9a3.2 3.2 0 0 1 4.5 4.5L11.5 9l-1.2-1.2 1.6-1.6a1.5 1.5 0 0 0-2.1-2.1L8.2 5.7zM9 11.5l-1.6 1.6a3.2 3.2 0 0 1-4.5-4.5L4.5 7l1.2 1.2-1.6 1.6a1.5 1.5 0 0 0 2.1 2.1l1.6-1.6z"],
  ["more", "M2 8a1.5 1.5 0 1 1 3 0a1.5 1.5 0 0 1-3 0zM6.5 8a1.5 1.5 0 1 1 3 0a1.5 1.5 0 0 1-3 0zM11 8a1.5 1.5 0 1 1 3 0a1.5 1.5 0 0 1-3 0z"],
  ["past", "M8 2a6 6 0 1 1-5.7 7.9l1.7-.5A4.2 4.2 0 1 0 5 5l1.5 1.5H2V2l1.7 1.7A6 6 0 0 1 8 2zM7.2 5h1.6v2.7l2 1.2-.8 1.4-2.8-1.7z"],
]);

/**
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", "data-icon": name }, svg("path", { d: PATHS.get(name), "fill-rule": "evenodd" }));
}
