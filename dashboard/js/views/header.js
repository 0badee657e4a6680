// The bar at the top: who we are, how the connection is, what was lost on the way, who else is here.

import { el, setAttr, setText, svg } from "../dom.js";
import { plural } from "../format.js";
import { chooseTheme, chosenTheme, THEMES } from "../theme.js";
import { HealthStrip } from "./health_strip.js";

const THEME_WORDS = new Map([["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]]);

export class HeaderView {
  /** @param {import("../main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.store = context.store;
    this.badgeWord = el("span.badge-word");
    this.latency = el("span.badge-latency");
    this.badge = el("span.connection", { "data-testid": "connection", "data-state": "connecting" },
      el("span.connection-dot", { "aria-hidden": "true" }), this.badgeWord, this.latency);
    this.health = new HealthStrip(context);
    this.operators = el("span.operators", { "data-testid": "operators" });
    this.theme = el("select.theme", { "aria-label": "Theme", onchange: () => chooseTheme(this.theme.value) },
      ...THEMES.map((theme) => el("option", { value: theme, text: THEME_WORDS.get(theme) })));
    this.theme.value = chosenTheme();
    this.unread = el("span.unread", { hidden: true });
    this.activity = el("button.button.activity-button", {
      type: "button",
      "data-testid": "activity-toggle",
      "aria-expanded": "false",
      "aria-controls": "activity",
      onclick: () => context.toggleActivity(),
    }, "Activity", this.unread);
    this.pages = new Map([["fleet", navLink("#/", "Fleet")], ["explore", navLink("#/explore", "Explore")]]);
    this.nav = el("nav.nav", { "aria-label": "Pages" }, ...this.pages.values());
    this.element = el("header.header", {},
      el("a.brand", { href: "#/", "aria-label": "Fleetwire, to the fleet" }, mark(), el("span.brand-name", { text: "Fleetwire" })),
      this.nav, this.health.element,
      el("div.header-end", {}, this.operators, this.badge, this.theme, this.activity));
    for (const event of ["connection", "presence"]) this.store.on(event, () => this.update());
    this.update();
  }

  update() {
    const { connection, operators } = this.store;
    setAttr(this.badge, "data-state", connection.state);
    // "Live" beside values of the past would be a lie.
    setText(this.badgeWord, this.isPast && connection.state === "live" ? "Connected" : connectionWord(connection));
    const latency = this.context.clock.latencyMs;
    const isLive = connection.state === "live";
    setText(this.latency, isLive && latency !== null ? `${Math.max(1, Math.round(latency))} ms` : "");
    setAttr(this.badge, "title", isLive ? "Round trip to the bridge" : null);
    setText(this.operators, isLive ? plural(operators, "operator") : "");
  }

  /** @param {"fleet"|"device"|"explore"} name of the page that is shown */
  setPage(name) {
    // A device belongs to the fleet, but it is not the page that the link leads to.
    const isWithin = (page) => page === "fleet" && name === "device";
    for (const [page, link] of this.pages) setAttr(link, "aria-current", page === name ? "page" : isWithin(page) ? "true" : null);
  }

  /** @param {boolean} isPast whether the page shows a moment of the past */
  setPast(isPast) {
    this.isPast = isPast;
    this.update();
  }

  /** @param {number} count of notes and commands since the panel was last open */
  setUnread(count) {
    this.unread.hidden = count === 0;
    setText(this.unread, count > 99 ? "99+" : String(count));
    setAttr(this.activity, "aria-label", count ? `Activity, ${count} new` : null);
  }
}

function navLink(href, text) {
  return el("a.nav-link", { href, text });
}

function connectionWord(connection) {
  switch (connection.state) {
    case "live":
      return "Live";
    case "auth":
      return "Token needed";
    case "connecting":
      return connection.lostAt ? "Reconnecting" : "Connecting";
    default:
      return connection.retryAt && connection.lostAt ? "Reconnecting" : "Offline";
  }
}

/** Three devices on one wire. */
function mark() {
  return svg("svg", { class: "mark", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { d: "M3 17h4l3-10 4 13 3-8h4", fill: "none", stroke: "currentColor", "stroke-width": "2.25", "stroke-linejoin": "round", "stroke-linecap": "round" }));
}
