// The fleet page: every device, searchable, by status.

import { el, setAttr, setChildren, setText } from "../dom.js";
import { plural } from "../format.js";
import { hostAndPort } from "../metrics.js";
import { FleetRow } from "./fleet_row.js";
import { STATUSES, statusShape, statusWord } from "./status.js";

const RELIST_MS = 250; // a thousand devices that come at once are one new list
const LAYOUT_KEY = "fleetwire.layout";
const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const byName = (a, b) => names.compare(a.device.info.name || a.device.id, b.device.info.name || b.device.id);
const SORTS = new Map([
  ["name", { label: "Name", compare: byName }],
  ["status", { label: "Status, worst first", compare: (a, b) => STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status) || byName(a, b) }],
  ["area", { label: "Area", compare: (a, b) => names.compare(a.device.info.area ?? "", b.device.info.area ?? "") || byName(a, b) }],
  ["seen", { label: "Last seen, latest first", compare: (a, b) => (b.device.lastSeenMs ?? 0) - (a.device.lastSeenMs ?? 0) || byName(a, b) }],
]);

export class FleetView {
  /** @param {import("../main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.store = context.store;
    /** @type {Map<string, FleetRow>} */
    this.rows = new Map();
    this.filter = { text: "", status: "all", sort: "name" };
    this.timer = 0;
    this.active = null; // the row that the Tab key reaches
    this.#build();
    this.store.on("devices", () => this.#relistSoon());
    this.store.on("rewound", () => this.#relist()); // who drags through time does not wait
    this.store.on("connection", () => this.#showState());
    this.store.on("sources", () => this.#showState());
    this.store.on("readings", (ids) => {
      for (const id of ids) this.rows.get(id)?.invalidate();
    });
    this.#relist();
  }

  get title() {
    const total = this.store.devices.size;
    const online = [...this.rows.values()].filter((row) => row.status === "online").length;
    return total ? `${online} of ${total} online` : "Fleet";
  }

  mount(parent) {
    parent.replaceChildren(this.element);
    window.scrollTo(0, this.scrollY ?? 0);
  }

  unmount() {
    this.scrollY = window.scrollY;
    this.element.remove();
  }

  /**
   * Show what the list of another time shows: the same search, order and layout.
   * @param {FleetView} other
   */
  adopt(other) {
    this.search.value = other.search.value;
    this.sort.value = other.sort.value;
    this.#setLayout(other.list.dataset.layout);
    this.#setFilter(other.filter);
  }

  focusSearch() {
    this.search.focus();
    this.search.select();
  }

  // ----- building ---------------------------------------------------------------------------------------

  #build() {
    this.search = el("input.search", {
      type: "search",
      placeholder: "Search name, area, model, metric",
      "aria-label": "Search devices",
      "aria-keyshortcuts": "/",
      "data-testid": "search",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.#setFilter({ text: this.search.value.trim().toLowerCase() }),
      onkeydown: (event) => this.#searchKey(event),
    });
    this.chips = new Map(["all", ...STATUSES].map((status) => [status, this.#chip(status)]));
    this.sort = el("select", {
      "aria-label": "Sort by",
      class: "sort",
      onchange: () => this.#setFilter({ sort: this.sort.value }),
    }, ...[...SORTS].map(([value, { label }]) => el("option", { value, text: label })));
    this.layoutButton = el("button.button.layout-button", { type: "button", onclick: () => this.#switchLayout() });
    this.list = el("ul.rows", { "aria-label": "Devices", onkeydown: (event) => this.#listKey(event) });
    this.state = el("div.fleet-state");
    this.count = el("p.visually-hidden", { role: "status" });
    this.element = el("section.fleet", { "aria-labelledby": "fleet-title" },
      el("div.toolbar", {},
        el("h1.toolbar-title", { id: "fleet-title", text: "Fleet" }),
        el("div.search-box", {}, this.search, el("kbd", { text: "/", "aria-hidden": "true" })),
        el("div.chips", { role: "group", "aria-label": "Filter by status" }, ...[...this.chips.values()].map((c) => c.button)),
        el("div.toolbar-end", {}, this.sort, this.layoutButton)),
      this.count, this.state, this.list);
    this.#setLayout(storedLayout());
  }

  #chip(status) {
    const count = el("span.chip-count");
    const button = el("button.chip", {
      type: "button",
      "data-filter": status,
      "aria-pressed": String(status === "all"),
      onclick: () => this.#setFilter({ status }),
    }, status === "all" ? null : statusShape(status), status === "all" ? "All" : statusWord(status), count);
    return { button, count };
  }

  #switchLayout() {
    const layout = this.list.dataset.layout === "list" ? "tiles" : "list";
    this.#setLayout(layout);
    try {
      localStorage.setItem(LAYOUT_KEY, layout);
    } catch {
      // It lasts until the page is closed.
    }
  }

  #setLayout(layout) {
    this.list.dataset.layout = layout;
    setText(this.layoutButton, layout === "list" ? "Tiles" : "List");
    setAttr(this.layoutButton, "aria-label", layout === "list" ? "Show as tiles" : "Show as list");
    this.context.scheduler.invalidateAll();
  }

  // ----- the list ---------------------------------------------------------------------------------------

  #setFilter(change) {
    Object.assign(this.filter, change);
    for (const [status, { button }] of this.chips) setAttr(button, "aria-pressed", String(status === this.filter.status));
    this.#relist();
    setText(this.count, `${plural(this.list.childElementCount, "device")} shown`);
  }

  #relistSoon() {
    this.timer ||= setTimeout(() => this.#relist(), RELIST_MS);
  }

  #relist() {
    clearTimeout(this.timer);
    this.timer = 0;
    for (const id of this.store.changedDevices) this.#refreshRow(id);
    this.store.changedDevices.clear();
    const words = this.filter.text.split(/\s+/).filter(Boolean);
    const counts = new Map();
    const shown = [];
    for (const row of this.rows.values()) {
      counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
      if (this.filter.status !== "all" && row.status !== this.filter.status) continue;
      if (words.every((word) => row.haystack.includes(word))) shown.push(row);
    }
    shown.sort(SORTS.get(this.filter.sort).compare);
    setChildren(this.list, shown.map((row) => row.element));
    for (const [status, { button, count }] of this.chips) {
      const number = status === "all" ? this.rows.size : (counts.get(status) ?? 0);
      setText(count, String(number));
      button.hidden = number === 0 && status !== "all" && status !== this.filter.status;
    }
    if (!this.active || !this.active.element.isConnected) this.#activate(shown[0] ?? null);
    this.#showState();
    this.context.titleChanged();
  }

  #refreshRow(id) {
    const device = this.store.devices.get(id);
    const row = this.rows.get(id);
    if (!device) {
      row?.remove();
      this.rows.delete(id);
    } else if (row) {
      row.refresh(device);
    } else {
      this.rows.set(id, new FleetRow(device, this.context));
    }
  }

  // ----- keyboard ---------------------------------------------------------------------------------------

  #activate(row) {
    this.active?.link.setAttribute("tabindex", "-1");
    this.active = row;
    row?.link.setAttribute("tabindex", "0");
  }

  #searchKey(event) {
    const first = this.list.firstElementChild?.querySelector("a");
    if (event.key === "ArrowDown" && first) {
      event.preventDefault();
      this.#focusRow(this.list.firstElementChild);
    } else if (event.key === "Enter" && first && this.filter.text) {
      first.click();
    } else if (event.key === "Escape") {
      this.search.value = "";
      this.#setFilter({ text: "" });
    }
  }

  #listKey(event) {
    const row = event.target.closest("li");
    if (!row) return;
    // In tiles, up and down go to the tile above and below.
    const across = this.list.dataset.layout === "tiles" ? columnsOf(this.list) : 1;
    const steps = new Map([
      ["ArrowDown", across], ["ArrowUp", -across], ["ArrowRight", 1], ["ArrowLeft", -1], ["Home", -Infinity], ["End", Infinity],
    ]);
    const step = steps.get(event.key);
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const all = [...this.list.children];
    const to = all.indexOf(row) + step;
    if (to < 0 && step === -across) this.search.focus();
    else this.#focusRow(all[Math.min(all.length - 1, Math.max(0, to))]);
  }

  #focusRow(element) {
    this.#activate(this.rows.get(element.dataset.deviceId));
    this.active.link.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
  }

  // ----- when there is nothing to list --------------------------------------------------------------------

  #showState() {
    const kind = !this.store.fleetKnown ? "waiting" : this.rows.size === 0 ? "empty" : this.list.childElementCount === 0 ? "nothing" : "";
    const address = [...this.store.sources.values()][0]?.address ?? "";
    const key = `${kind} ${kind === "empty" ? address : ""} ${kind === "waiting" && this.store.connection.state === "auth"}`;
    if (this.stateKey === key) return;
    this.stateKey = key;
    const auth = this.store.connection.state === "auth";
    if (kind === "waiting") this.state.replaceChildren(...(auth ? [] : [skeleton()]));
    else if (kind === "empty") this.state.replaceChildren(this.context.isPast ? el("div.message", {}, el("p", { text: "There were no devices at that time." })) : emptyState(address));
    else if (kind === "nothing") this.state.replaceChildren(this.#nothing());
    else this.state.replaceChildren();
    this.element.toggleAttribute("data-bare", kind === "empty" || (kind === "waiting" && auth));
  }

  #nothing() {
    const clear = () => {
      this.search.value = "";
      this.#setFilter({ text: "", status: "all" });
      this.search.focus();
    };
    return el("div.message", {},
      el("p", { text: "No device matches." }),
      el("button.button", { type: "button", text: "Show all devices", onclick: clear }));
  }
}

function columnsOf(list) {
  return getComputedStyle(list).gridTemplateColumns.split(" ").length;
}

function storedLayout() {
  try {
    return localStorage.getItem(LAYOUT_KEY) === "tiles" ? "tiles" : "list";
  } catch {
    return "list";
  }
}

function skeleton() {
  const row = () => el("div.skeleton-row", {}, el("span"), el("span"), el("span"), el("span"));
  return el("div.skeleton", { "aria-hidden": "true" }, ...Array.from({ length: 8 }, row));
}

function emptyState(address) {
  const { host, port } = hostAndPort(address);
  const command = `mosquitto_pub -h ${host} -p ${port} -t devices/sensor-1/telemetry -m '{"temperature": 21.4}'`;
  const copy = el("button.button", { type: "button", text: "Copy" });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      setText(copy, "Copied");
    } catch {
      setText(copy, "Select the line and copy it");
    }
  });
  return el("div.empty", { "data-testid": "empty" },
    el("h2", { text: "No devices yet" }),
    el("p", { text: "Devices appear here by themselves with their first message. Point yours at this broker:" }),
    el("p.empty-address", { text: address || `${host}:${port}` }),
    el("p", { text: "Or send a first reading from a terminal:" }),
    el("div.empty-command", {}, el("code", { text: command }), navigator.clipboard ? copy : null));
}
