// Boot: builds everything in one visible order, and shows the page that the address names.

import { ServerClock } from "./clock.js";
import { Connection } from "./connection.js";
import { el, setAttr } from "./dom.js";
import { Scheduler } from "./draw/scheduler.js";
import { Replay } from "./replay.js";
import { parseRoute } from "./route.js";
import { Store } from "./store.js";
import { onTheme } from "./theme.js";
import { Travel } from "./travel.js";
import { ActivityView } from "./views/activity.js";
import { BannersView } from "./views/banners.js";
import { DeviceView } from "./views/device.js";
import { ExploreView } from "./views/explore.js";
import { FleetView } from "./views/fleet.js";
import { HeaderView } from "./views/header.js";
import { HealthPanel } from "./views/health_panel.js";
import { PastNotice } from "./views/past_notice.js";
import { TimeBar } from "./views/time_bar.js";
import { TokenForm } from "./views/token_form.js";

/**
 * What views share. There are two: of now, and of the moment that is replayed. A view is of one of them for good.
 * @typedef {object} Context
 * @property {Store} store
 * @property {Connection|typeof PAST_LINE} connection
 * @property {ServerClock|import("./clock.js").ReplayClock} clock what "now" is
 * @property {boolean} isPast
 * @property {Scheduler} scheduler
 * @property {() => void} titleChanged
 * @property {(open?: boolean) => void} toggleActivity
 * @property {() => void} openHealth
 */

const PLAY_MS = 250; // as often as the server tells where the replay is

const store = new Store();
const clock = new ServerClock();
const connection = new Connection(store, clock);
const scheduler = new Scheduler();

const past = new Replay(connection, store);

/** What of a connection is left in the past: nothing can be sent from there, and nothing has to be followed. */
const PAST_LINE = Object.freeze({ follow: () => () => {}, sendCommand: () => null, sendNote: () => false });

/** @type {Context} */
const context = { store, connection, clock, isPast: false, scheduler, titleChanged: showTitle, toggleActivity, openHealth: () => health.open() };
/** @type {Context} */
const pastContext = { ...context, store: past.store, connection: PAST_LINE, clock: past.clock, isPast: true };

/** The view that is shown, and which one that is. */
let page = null;
let pageKey = "";
/** Where to scroll as soon as there is something to scroll; null: where it is. */
let placeY = null;

const main = el("main", { id: "main", tabindex: "-1" });
const fleet = new FleetView(context);
let pastFleet = null; // most pages never need it
const tokenForm = new TokenForm(context);
const activity = new ActivityView(context);
const health = new HealthPanel(context);
const header = new HeaderView(context);
const banners = new BannersView(context);
const travel = new Travel(past, route);
const notice = new PastNotice(context, past, travel);
const timeBar = new TimeBar(context, past, travel);
activity.onUnread = (count) => header.setUnread(count);

document.body.append(
  el("a.skip-link", { href: "#main", text: "To the content", onclick: skipToMain }),
  header.element,
  notice.element,
  banners.element,
  banners.voice,
  notice.voice,
  el("div.frame", {}, main, activity.element),
  timeBar.element,
  notice.frame,
  health.element,
);

function show(next) {
  if (page === next) return;
  page?.unmount();
  page = next;
  page.mount(main);
  showTitle();
}

/** The same page at another time: who was reading or typing goes on where she was. */
function swap(next) {
  const focused = document.activeElement;
  const { scrollY } = window;
  next.adopt?.(page);
  show(next);
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  window.scrollTo(0, scrollY);
  placeY = past.isOn ? scrollY : null; // the content of the past is still on its way
}

function route() {
  if (store.connection.state === "auth") {
    pageKey = "token";
    return show(tokenForm);
  }
  const target = parseRoute(location.hash);
  header.setPage(target.page);
  timeBar.narrow(target.deviceId ?? null);
  travel.follow(target);
  header.setPast(past.isOn);
  activity.use(past.isOn ? pastContext : context);
  const key = JSON.stringify([past.isOn, target.page, target.deviceId]);
  if (key === pageKey) return page.update?.(target.params);
  const isSamePage = pageKey === JSON.stringify([!past.isOn, target.page, target.deviceId]);
  pageKey = key;
  return (isSamePage ? swap : show)(viewOf(target, past.isOn ? pastContext : context));
}

/** Now and the past are shown by the same views, each with its own store and its own clock. */
function viewOf(target, shown) {
  if (target.page === "device") return new DeviceView(target.deviceId, shown);
  if (target.page === "explore") return new ExploreView(shown, target.params);
  return shown.isPast ? (pastFleet ??= new FleetView(pastContext)) : fleet;
}

function showTitle() {
  if (!page) return;
  const isDown = store.connection.state !== "live" && store.connection.lostAt;
  document.title = `${isDown ? "Disconnected · " : ""}${past.isOn ? "Past · " : ""}${page.title} · Fleetwire`;
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
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && page?.focusSearch) {
    event.preventDefault();
    page.focusSearch();
  }
});
// What a frame of the display has painted can be seen when the next one begins.
scheduler.onPaint = () => {
  const { latency } = store;
  if (!latency.isWaiting) return;
  const upTo = latency.noted;
  requestAnimationFrame(() => latency.shown(upTo, clock.now()));
};
// Who looks at the past does not see what comes, so how long it takes to be seen is not measured.
const watchSeen = () => store.latency.setSeen(document.visibilityState === "visible" && !past.isOn);
document.addEventListener("visibilitychange", watchSeen);
watchSeen();
onTheme(() => scheduler.invalidateAll());
// Ages grow, banners count. One timer for the whole page; nothing while nobody looks.
setInterval(() => {
  if (document.visibilityState !== "visible") return;
  scheduler.ageAll();
  banners.update();
  timeBar.move();
  notice.move();
  page?.tick?.();
}, 1_000);
// While the past is played its time passes faster than ours.
let playing = 0;
past.on(() => {
  watchSeen();
  const isPlaying = past.isOn && !past.isPaused;
  if (isPlaying === (playing !== 0)) return showTitle();
  clearInterval(playing);
  playing = isPlaying ? setInterval(play, PLAY_MS) : 0;
  return showTitle();
});
past.store.on("rewound", () => {
  page?.tick?.();
  if (placeY === null) return;
  const y = placeY;
  placeY = null;
  setTimeout(() => window.scrollTo(0, y)); // once all who listen have shown it
});

function play() {
  if (document.visibilityState !== "visible") return;
  scheduler.ageAll();
  timeBar.move();
  notice.move();
  page?.tick?.();
}

connection.follow("fleet");
connection.follow("stats");
route();
connection.start();

// For tests and curious people, in the browser's console. Read-only by convention.
window.fleetwire = Object.freeze({ store, connection, clock, past });
