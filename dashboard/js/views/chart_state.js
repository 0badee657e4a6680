// What a chart's panel says when the chart cannot: loading, nothing there, something went wrong.

import { el, setText } from "../dom.js";

/** A slim sign at the edge of a panel while an answer is awaited, and a line for what went wrong. */
export class ChartState {
  /** @param {() => void} onRetry */
  constructor(onRetry) {
    this.busy = el("div.chart-busy", { hidden: true, "data-testid": "loading", role: "img", "aria-label": "Loading history" });
    this.words = el("span");
    this.problem = el("p.chart-problem", { hidden: true, role: "status", "data-testid": "history-problem" },
      this.words, el("button.button", { type: "button", text: "Try again", onclick: onRetry }));
  }

  /**
   * @param {boolean} isLoading
   * @param {(Error & {code?: string})|null} error
   */
  show(isLoading, error) {
    this.busy.hidden = !isLoading;
    // While it is being tried again, the words stay: what comes and goes twice a minute cannot be read.
    this.problem.hidden = error === null;
    if (error) setText(this.words, `History could not be loaded. ${sentence(error.message)}`);
  }
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
