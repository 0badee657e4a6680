// "Share moment": a link to what is shown, as it is shown, for a colleague who sees the same.

import { el, setAttr, setText } from "../dom.js";
import { icon } from "./time_icons.js";

const TOLD_MS = 2_500;
const WORD = "Share moment";

export class ShareButton {
  /**
   * @param {() => string} link makes the address
   * @param {HTMLElement} voice tells screen readers
   */
  constructor(link, voice) {
    this.link = link;
    this.voice = voice;
    this.timer = 0;
    this.word = el("span.bar-share-word", { text: WORD });
    this.button = el("button.bar-button.bar-share-button", {
      type: "button",
      "data-testid": "share",
      "aria-label": WORD, // its word has no room on narrow pages
      title: "Copy a link to this moment",
      onclick: () => this.#share(),
    }, icon("link"), this.word);
    this.field = el("input.bar-share-field", {
      type: "text",
      readonly: true,
      hidden: true,
      "aria-label": "Link to this moment",
      "data-testid": "share-link",
      onblur: () => (this.field.hidden = true),
    });
    this.element = el("div", {}, this.button, this.field);
  }

  async #share() {
    const link = this.link();
    this.field.value = link;
    this.field.hidden = true;
    if (await copy(link)) return this.#tell("Link copied");
    // The browser lets no page copy here: then people do.
    this.field.hidden = false;
    this.field.focus();
    this.field.select();
    return this.#tell("Copy the link");
  }

  #tell(words) {
    setText(this.word, words);
    setText(this.voice, words);
    setAttr(this.element, "data-told", "");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      setText(this.word, WORD);
      setText(this.voice, "");
      setAttr(this.element, "data-told", null);
    }, TOLD_MS);
  }
}

/** The clipboard is there on https and localhost only. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
