// Which time the Explore page shows: presets, steps, a span typed in, and what to compare with.

import { el, setAttr, setText } from "../dom.js";
import { COMPARES, PRESETS } from "./explore_state.js";

const pad = (number, digits = 2) => String(number).padStart(digits, "0");

export class ExploreControls {
  /**
   * @param {{onPreset: (lengthMs: number) => void, onSpan: (span: {fromMs: number, toMs: number}) => void,
   *   onFollow: () => void, onPan: (steps: number) => void, onScale: (factor: number) => void, onBack: () => void,
   *   onCompare: (compare: string) => void}} actions
   */
  constructor(actions) {
    this.actions = actions;
    this.presets = new Map(PRESETS.map(([lengthMs, text]) => [lengthMs, el("button", {
      type: "button", text, "data-preset": text, title: `The last ${text}, following the present`, onclick: () => actions.onPreset(lengthMs),
    })]));
    this.follow = el("button.button.follow-button", { type: "button", text: "Follow", "data-testid": "follow", onclick: actions.onFollow });
    this.later = step("›", "Later", () => actions.onPan(1));
    this.back = el("button.button", { type: "button", text: "Back", title: "To the span before (double click in a chart)", "data-testid": "zoom-back", onclick: actions.onBack });
    const steps = el("div.nudges", { role: "group", "aria-label": "Move and zoom" },
      step("‹", "Earlier", () => actions.onPan(-1)), this.later, step("−", "Zoom out", () => actions.onScale(2)), step("+", "Zoom in", () => actions.onScale(0.5)), this.back);
    this.from = this.#field("from");
    this.to = this.#field("to");
    this.problem = el("p.field-problem", { role: "alert" });
    this.compare = el("select", { "aria-label": "Compare", "data-testid": "compare", onchange: () => actions.onCompare(this.compare.value) },
      ...[...COMPARES].map(([value, { label }]) => el("option", { value, text: label })));
    this.element = el("div.explore-controls", {},
      el("div.segmented", { role: "group", "aria-label": "Span" }, ...this.presets.values()), this.follow, steps,
      el("details.explore-custom", {}, el("summary.button", { text: "From … to", "data-testid": "custom" }),
        el("div.explore-span", {}, el("label", {}, "From", this.from), el("label", {}, "To", this.to), this.problem)), this.compare);
  }

  /**
   * @param {import("./explore_state.js").ExploreState} state
   * @param {{fromMs: number, toMs: number}} span
   * @param {{canGoBack: boolean, isPast: boolean}} more
   */
  update(state, span, { canGoBack, isPast }) {
    const isFollowing = state.fixed === null;
    for (const [lengthMs, button] of this.presets) setAttr(button, "aria-pressed", String(isFollowing && lengthMs === state.lengthMs));
    setAttr(this.follow, "aria-pressed", String(isFollowing));
    setAttr(this.follow, "title", `${isFollowing ? "Following" : "Follow"} ${isPast ? "the replay" : "the present"}`);
    this.back.disabled = !canGoBack;
    this.later.disabled = isFollowing;
    this.compare.value = state.compare;
    if ([this.from, this.to].includes(document.activeElement)) return; // nobody's typing is overwritten
    show(this.from, span.fromMs);
    show(this.to, span.toMs);
    this.#tell("");
  }

  #field(which) {
    return el("input.time-field", { type: "datetime-local", step: "1", "data-testid": `span-${which}`, onchange: () => this.#typed() });
  }

  #typed() {
    const [fromMs, toMs] = [this.from, this.to].map((field) => new Date(field.value).getTime());
    if (!Number.isFinite(fromMs) || !Number.isFinite(toMs)) return this.#tell("Both a date and a time, please.");
    if (fromMs >= toMs) return this.#tell("The span must end after it begins.");
    this.#tell("");
    return this.actions.onSpan({ fromMs, toMs });
  }

  #tell(problem) {
    setText(this.problem, problem);
    for (const field of [this.from, this.to]) setAttr(field, "aria-invalid", problem ? "true" : null);
  }
}

function step(text, label, onclick) {
  return el("button.button.nudge", { type: "button", text, "aria-label": label, title: label, "data-testid": label.toLowerCase().replace(" ", "-"), onclick });
}

/** In the time of the place, as such a field takes it. */
function show(field, ms) {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return;
  const day = `${pad(at.getFullYear(), 4)}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const text = `${day}T${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  if (field.value !== text) field.value = text;
}
