// Every counter of the bridge, in the last minute and since it started.

import { el, setAttr, setText } from "../dom.js";
import { formatBytes, formatCount, formatNumber } from "../format.js";
import { counterOf, LOSSES, rejectedOf, spanWords } from "../health.js";
import { HOPS, unknownCounters } from "../hops.js";
import { toneShape } from "./health_strip.js";

export class CounterTable {
  constructor() {
    this.recentHead = el("th", { scope: "col" });
    this.rows = new Map();
    this.element = el("table.health-table.counters", { "data-testid": "health-counters" },
      el("caption.visually-hidden", { text: "Counters of every hop" }),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span.visually-hidden", { text: "Counter" })), this.recentHead, el("th", { scope: "col", text: "Since start" }))));
    this.groups = new Map(HOPS.map((hop) => [hop.title, this.#group(hop.title)]));
    for (const { title, counters } of HOPS) for (const counter of counters) this.#row(title, counter);
  }

  /** @param {import("../health.js").Health} health */
  update(health) {
    const counters = health.latest?.counters ?? {};
    setText(this.recentHead, health.span() > 0 ? capital(spanWords(health.span())) : "Last minute");
    for (const counter of unknownCounters(counters)) if (!this.rows.has(counter.name)) this.#row("Others", counter);
    for (const reason of Object.keys(counters.rejected ?? {})) this.#reasonRow(reason);
    for (const row of this.rows.values()) {
      const isTold = row.name !== "broker_dropped" || Number.isFinite(counters.broker_dropped);
      const [total, recent] = [health.total(row.read), health.recent(row.read)];
      const format = row.unit === "bytes" ? formatBytes : formatCount;
      setText(row.total, isTold ? format(total) : "not told");
      setAttr(row.total, "title", isTold && row.unit === "count" && total >= 10_000 ? formatNumber(total, 0) : null);
      setText(row.recent, isTold ? format(recent) : "–");
      setAttr(row.element, "data-zero", total === 0 ? "" : null);
      this.#mark(row, recent > 0 && LOSSES.includes(row.name));
    }
  }

  #group(title) {
    const body = el("tbody", {}, el("tr.counter-group", {}, el("th", { scope: "rowgroup", colspan: "3", text: title })));
    this.element.append(body);
    return body;
  }

  #row(title, { name, words, unit }) {
    const row = makeRow(name, words, unit, name === "rejected" ? rejectedOf : counterOf(name));
    if (!this.groups.has(title)) this.groups.set(title, this.#group(title));
    this.groups.get(title).append(row.element);
    this.rows.set(name, row);
    if (LOSSES.includes(name)) row.words.append(el("span.badge.loss-badge", { text: "counts as lost" }));
  }

  /** Reasons stand below what was rejected in all, in order of appearance. */
  #reasonRow(reason) {
    const key = `rejected ${reason}`;
    if (this.rows.has(key)) return;
    const read = (counters) => counterOf(reason)(counters.rejected ?? {});
    const row = makeRow(key, reason.replaceAll("_", " "), "count", read);
    row.element.classList.add("counter-reason");
    const last = [...this.rows.values()].filter((other) => other.name.startsWith("rejected")).at(-1);
    last.element.after(row.element);
    this.rows.set(key, row);
  }

  #mark(row, isLoss) {
    if (row.isLoss === isLoss) return;
    row.isLoss = isLoss;
    setAttr(row.element, "data-tone", isLoss ? "bad" : null);
    row.shape.replaceChildren(...(isLoss ? [toneShape("bad")] : []));
  }
}

function makeRow(name, words, unit, read) {
  const shape = el("span.counter-shape", { "aria-hidden": "true" });
  const head = el("th", { scope: "row" }, shape, words);
  const [recent, total] = [el("td"), el("td", { "data-counter": name })];
  return { name, unit, read, shape, words: head, recent, total, isLoss: false, element: el("tr", {}, head, recent, total) };
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
