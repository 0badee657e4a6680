// Boot: builds everything in one visible order, and shows the page that the address names.

import { ServerClock } from "./clock.js";
import { Connection } from "./connection.js";
import { el, setAttr } from "./dom.js";
import { Scheduler } from "./draw/scheduler.js";
import { parseRoute } from "./route.js";
import { Store } from "./store.js";
import { onTheme } from "./theme.js";
import { ActivityView } from "./views/activity.js";
import { BannersView } from "./views/banners.js";
import { DeviceView } from "./views/device.js";
import { FleetView } from "./views/fleet.js";
import { HeaderView } from "./views/header.js";
import { HealthPanel } from "./views/health_panel.js";
import { TokenForm } from "./views/token_form.js";

/**
 * What views share.
 * @typedef {object} Context
 * @property {Store} store
 * @property {Connection} connection
 * @property {ServerClock} clock
 * @property {Scheduler} scheduler
 * @property {() => void} titleChanged
 * @property {(open?: boolean) => void} toggleActivity
 * @property {() => void} openHealth
 */

const store = new Store();
const clock = new ServerClock();
const connection = new Connection(store, clock);
const scheduler = new Scheduler();

/** @type {Context} */
const context = { store, connection, clock, scheduler, titleChanged: showTitle, toggleActivity, openHealth: () => health.open() };

/** The view that is shown. */
let page = null;

const main = el("main", { id: "main", tabindex: "-1" });
const fleet = new FleetView(context);
const tokenForm = new TokenForm(context);
const activity = new ActivityView(context);
const health = new HealthPanel(context);
const header = new HeaderView(context);
const banners = new BannersView(context);
activity.onUnread = (count) => header.setUnread(count);

document.body.append(
  el("a.skip-link", { href: "#main", text: "To the content", onclick: skipToMain }),
  header.element,
  banners.element,
  banners.voice,
  el("div.frame", {}, main, activity.element),
  health.element,
);

function show(next) {
  if (page === next) return;
  page?.unmount();
  page = next;
  page.mount(main);
  showTitle();
}

function route() {
  if (store.connection.state === "auth") return show(tokenForm);
  const target = parseRoute(location.hash);
  if (target.page === "fleet") show(fleet);
  else if (!(page instanceof DeviceView) || page.deviceId !== target.deviceId) show(new DeviceView(target.deviceId, context));
  return undefined;
}

function showTitle() {
  if (!page) return;
  const isDown = store.connection.state !== "live" && store.connection.lostAt;
  document.title = `${isDown ? "Disconnected · " : ""}${page.title} · Fleetwire`;
}

/** Whether what is shown can still be what is: it cannot without a line to the bridge, or to any broker. */
function showLost() {
  const sources = [...store.sources.values()];
  const noBroker = sources.length > 0 && sources.every((source) => source.state !== "connected");
  document.body.toggleAttribute("data-lost", store.connection.lostAt !== null || noBroker);
}

function toggleActivity(open = !activity.isOpen) {
  if (open === activity.isOpen) return;
  activity.setOpen(open);
  setAttr(header.activity, "aria-expanded", String(open));
  document.body.toggleAttribute("data-activity", open);
  if (open) activity.focus();
  else header.activity.focus();
}

function skipToMain(event) {
  event.preventDefault(); // the hash is the router's
  main.focus();
}

store.on("connection", () => {
  setAttr(document.body, "data-connection", store.connection.state);
  showLost();
  if (store.connection.state === "auth") health.close();
  if (store.connection.state === "auth" || page === tokenForm) route();
  if (page === tokenForm) tokenForm.update();
  showTitle();
});
store.on("sources", showLost);
window.addEventListener("hashchange", route);
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && page === fleet) {
    event.preventDefault();
    fleet.focusSearch();
  }
});
// What a frame of the display has painted can be seen when the next one begins.
scheduler.onPaint = () => {
  const { latency } = store;
  if (!latency.isWaiting) return;
  const upTo = latency.noted;
  requestAnimationFrame(() => latency.shown(upTo, clock.now()));
};
const watchSeen = () => store.latency.setSeen(document.visibilityState === "visible");
document.addEventListener("visibilitychange", watchSeen);
watchSeen();
onTheme(() => scheduler.invalidateAll());
// Ages grow, banners count. One timer for the whole page; nothing while nobody looks.
setInterval(() => {
  if (document.visibilityState !== "visible") return;
  scheduler.ageAll();
  banners.update();
  page?.tick?.();
}, 1_000);

connection.follow("fleet");
connection.follow("stats");
route();
connection.start();

// For tests and curious people, in the browser's console. Read-only by convention.
window.fleetwire = Object.freeze({ store, connection, clock });
