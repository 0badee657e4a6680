// Everything behind the line in the header: the delay of each leg, this page's own connection, the brokers, every counter.

import { el, setAttr, setText } from "../dom.js";
import { formatNumber, formatTime } from "../format.js";
import { behindWords, counterOf, goneOf, LOSSES, lostOf, spanWords } from "../health.js";
import { CounterTable } from "./counter_table.js";
import { DelayTable } from "./delay_table.js";
import { toneShape } from "./health_strip.js";
import { ownFacts, sourceFacts } from "./health_facts.js";

export class HealthPanel {
  /** @param {import("../main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.store = context.store;
    this.isBuilt = false;
    // A dialog of the browser's own: it keeps the focus, closes with Escape, and gives the focus back.
    this.element = el("dialog.health-panel", { "aria-labelledby": "health-title", "data-testid": "health-panel", onclick: (event) => event.target === this.element && this.close() });
    this.store.on("stats", () => this.#update());
    this.store.on("sources", () => this.#update());
    this.store.on("connection", () => this.#update());
  }

  get isOpen() {
    return this.element.open;
  }

  open() {
    if (this.isOpen) return;
    if (!this.isBuilt) this.#build();
    this.element.showModal();
    this.scroll.scrollTop = 0;
    this.#update();
  }

  close() {
    if (this.isOpen) this.element.close();
  }

  #build() {
    this.isBuilt = true;
    this.verdictShape = el("span", { "aria-hidden": "true" });
    this.verdictText = el("span", { "data-testid": "health-verdict" });
    this.verdict = el("p.health-verdict", {}, this.verdictShape, this.verdictText);
    this.delays = new DelayTable();
    this.counters = new CounterTable();
    this.own = el("dl.health-facts", { "data-testid": "health-own" });
    this.sources = el("dl.health-facts", { "data-testid": "health-sources" });
    // It scrolls, so the keyboard has to reach it.
    this.scroll = el("div.health-scroll", { tabindex: "0", role: "region", "aria-label": "Details" },
      this.verdict,
      section("Delay", this.delays.element),
      section("This page", this.own),
      section("Brokers", this.sources),
      section("What every hop counted", this.counters.element));
    const close = el("button.button", { type: "button", text: "Close", onclick: () => this.close() });
    this.element.append(el("div.health-sheet", {},
      el("header.health-head", {}, el("h2", { id: "health-title", text: "From device to screen" }), close),
      this.scroll));
  }

  #update() {
    if (!this.isOpen) return;
    const { health, latency, sources, devices } = this.store;
    const { clock } = this.context;
    const now = clock.now();
    this.#showVerdict(latency.behind(now));
    this.delays.update(latency.summary(now), health.latest?.counters ?? {}, { clock, devices });
    showFacts(this.own, ownFacts(health.own, clock));
    showFacts(this.sources, sourceFacts(sources.values(), now));
    this.counters.update(health);
  }

  #showVerdict(behind) {
    const { health, connection } = this.store;
    const isLive = connection.state === "live";
    const recent = health.recent(lostOf);
    const tone = !isLive ? "warn" : recent === 0 ? "calm" : health.recent(goneOf) > 0 ? "bad" : "warn";
    setAttr(this.verdict, "data-tone", tone);
    if (this.tone !== tone) this.verdictShape.replaceChildren(toneShape(tone));
    this.tone = tone;
    const which = LOSSES.filter((name) => health.recent(counterOf(name)) > 0).map((name) => `${health.recent(counterOf(name))} ${WHERE.get(name)}`);
    const span = spanWords(health.span());
    const lost = recent === 0 ? `Nothing was lost in the ${span}.` : `Lost in the ${span}: ${which.join(", ")}.`;
    const delay = behind ? ` ${capital(behindWords(behind.ms))}${behind.isWhole ? " the devices" : " the bridge"}.` : "";
    const rate = health.rate("readings");
    const flow = rate === null ? "" : ` ${formatNumber(rate, rate < 10 ? 1 : 0)} readings a second.`;
    const asOf = health.latest ? ` These figures are of ${formatTime(health.latest.at)}.` : "";
    setText(this.verdictText, isLive ? lost + delay + flow : `Not connected.${asOf}`);
  }
}

const WHERE = new Map([
  ["broker_dropped", "by the broker"],
  ["shed", "because they came too fast"],
  ["source_errors", "to a defect of the bridge"],
  ["dropped", "skipped for a dashboard that was too slow"],
]);

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function section(title, body) {
  return el("section.health-section", {}, el("h3", { text: title }), body);
}

/** @param {[string, string, string?][]} facts name, value and, where it needs one, an explanation */
function showFacts(list, facts) {
  while (list.children.length < facts.length) list.append(el("div.health-fact", {}, el("dt"), el("dd")));
  while (list.children.length > facts.length) list.lastElementChild.remove();
  facts.forEach(([name, value, tone], i) => {
    const row = list.children[i];
    setText(row.firstElementChild, name);
    setText(row.lastElementChild, value);
    setAttr(row, "data-tone", tone ?? null);
  });
}
