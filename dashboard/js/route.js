// Addresses within the page: #/ is the fleet, #/device/<encoded id> one device. Pure.

/**
 * @param {string} hash
 * @returns {{page: "fleet"} | {page: "device", deviceId: string}}
 */
export function parseRoute(hash) {
  const match = /^#\/device\/([^/]+)$/.exec(hash);
  if (!match) return { page: "fleet" };
  try {
    return { page: "device", deviceId: decodeURIComponent(match[1]) };
  } catch {
    return { page: "fleet" }; // a broken percent sign
  }
}

/** @param {string} deviceId */
export function deviceHref(deviceId) {
  return `#/device/${encodeURIComponent(deviceId)}`;
}
