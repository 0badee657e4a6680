// What everybody does: commands of all operators as they happen, and notes.

import { el } from "../dom.js";
import { clip, formatMoment } from "../format.js";
import { deviceHref } from "../route.js";
import { label } from "../schema.js";
import { logEntry, startedAt } from "./command_status.js";

const SHOWN = 60;
const MAX_NOTE = 500;

export class ActivityView {
  /** @param {import("../main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.store = context.store;
    /** What the feed shows: now, or a moment of the past. */
    this.shown = context;
    this.isOpen = false;
    this.isDirty = true;
    this.unread = 0;
    this.onUnread = () => {};
    this.feed = el("ol.log.feed", { "aria-label": "Commands and notes, newest first" });
    this.nothing = el("p.feed-empty", { text: "Commands and notes of all operators appear here as they happen." });
    this.input = el("input", { type: "text", maxlength: String(MAX_NOTE), placeholder: "A note for all operators", "aria-label": "A note for all operators", "data-testid": "note-input", autocomplete: "off" });
    this.send = el("button.button", { type: "submit", text: "Send" });
    this.closed = el("p.form-note", { hidden: true, text: "This is the past: commands and notes as of then. Notes are written live." });
    this.element = el("aside.activity", { id: "activity", "aria-label": "Activity", hidden: true, onkeydown: (event) => event.key === "Escape" && context.toggleActivity(false) },
      el("header.activity-head", {}, el("h2", { text: "Activity" }),
        el("button.button", { type: "button", text: "Close", onclick: () => context.toggleActivity(false) })),
      el("form.note-form", { onsubmit: (event) => this.#submit(event) }, this.input, this.send),
      this.closed, this.nothing, this.feed);
    this.store.on("notes", () => this.#changed(1));
    this.store.on("commands", (record) => this.#changed(record?.state === "accepted" ? 1 : 0));
    this.store.on("connection", () => this.#showSendable());
  }

  /**
   * Show what was done until now, or until the moment that is replayed. What comes live is counted all the same.
   * @param {import("../main.js").Context} shown
   */
  use(shown) {
    if (shown === this.shown) return;
    this.shown = shown;
    for (const stop of this.stops ?? []) stop();
    this.stops = shown === this.context ? [] : ["notes", "commands"].map((event) => shown.store.on(event, () => this.#changed(0)));
    this.closed.hidden = !shown.isPast;
    this.#showSendable();
    this.#changed(0);
  }

  #showSendable() {
    this.input.disabled = this.shown.isPast;
    this.send.disabled = this.shown.isPast || this.store.connection.state !== "live";
  }

  /** @param {boolean} open */
  setOpen(open) {
    this.isOpen = open;
    this.element.hidden = !open;
    if (!open) return;
    this.unread = 0;
    this.onUnread(0);
    if (this.isDirty) this.#render();
  }

  focus() {
    this.input.focus();
  }

  #changed(news) {
    this.isDirty = true;
    if (this.isOpen) {
      // Many commands at once are one new list.
      this.frame ||= requestAnimationFrame(() => {
        this.frame = 0;
        this.#render();
      });
    } else if (news && this.welcomed === this.store.session.id) {
      this.unread += news;
      this.onUnread(this.unread);
    }
    this.welcomed = this.store.session.id; // what the welcome brought is not news
  }

  #render() {
    this.isDirty = false;
    const { store, clock } = this.shown;
    const now = clock.now();
    const commands = [...store.commands.values()].map((command) => ({ at: startedAt(command), make: () => this.#command(command, now) }));
    const notes = store.notes.map((note) => ({ at: note.time_ms, make: () => this.#note(note, now) }));
    const entries = [...commands, ...notes].sort((a, b) => b.at - a.at).slice(0, SHOWN);
    this.nothing.hidden = entries.length > 0;
    this.feed.replaceChildren(...entries.map(({ make }) => make()));
  }

  #command(command, nowMs) {
    const device = this.shown.store.devices.get(command.device_id);
    const title = label(device?.commands?.get(command.name)?.title) || label(command.name);
    const link = el("a", { href: deviceHref(command.device_id), text: (device ?? this.store.devices.get(command.device_id))?.info.name || command.device_id });
    return logEntry(command, { who: this.#who(command.sent_by), device: link, title, nowMs });
  }

  #note(note, nowMs) {
    return el("li.log-entry.note", { "data-testid": "note" },
      el("p.note-text", { text: clip(String(note.text), MAX_NOTE) }),
      el("div.log-meta", {}, el("span", { text: `${formatMoment(note.time_ms, nowMs)} · ${this.#who(note.author)}` })));
  }

  #who(session) {
    return session === this.store.session.id ? "you" : `operator ${String(session ?? "").slice(0, 8)}`;
  }

  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (text && this.context.connection.sendNote(text)) this.input.value = "";
  }
}
