// A form made from a command's JSON Schema, and what became of what it sent.

import { el, setAttr, setText } from "../dom.js";
import { fieldsOf, hasSlider, label, optionLabel, read, sliderStep, toArgs } from "../schema.js";
import { hasEnded } from "../model.js";
import { outcome, stepper } from "./command_status.js";

let lastId = 0;

export class CommandForm {
  /**
   * @param {string} name
   * @param {{title?: string, description?: string, schema?: object, danger?: boolean}} info as the device describes it
   * @param {(args: object) => object|null} send returns the command's record, null when nothing was sent
   */
  constructor(name, info, send) {
    this.name = name;
    this.title = label(info.title) || label(name);
    this.danger = info.danger === true;
    this.send = send;
    this.commandId = null;
    this.fields = fieldsOf(info.schema).map((field) => makeField(field));
    this.submit = el("button.button", { type: "submit", "data-testid": "command-send", text: this.fields.length ? "Send" : this.title });
    this.submit.classList.add(this.danger ? "button-danger" : "button-primary");
    this.confirm = el("div.confirm", { hidden: true });
    this.problem = el("p.field-problem", { role: "alert" });
    this.status = el("div.form-status");
    this.voice = el("p.visually-hidden", { role: "status" });
    this.body = el("div.form-fields", {}, ...this.fields.map((field) => field.element));
    this.element = el("form.command-form", {
      "data-testid": "command-form",
      "data-command": name,
      novalidate: true,
      onsubmit: (event) => this.#submitted(event),
    },
    el("h3", { text: this.title }),
    info.description ? el("p.form-description", { text: String(info.description).slice(0, 300) }) : null,
    this.body, this.problem, el("div.form-actions", {}, this.submit), this.confirm, this.status, this.voice);
  }

  /** @param {boolean} enabled whether anything can be sent at all */
  setEnabled(enabled) {
    this.submit.disabled = !enabled;
  }

  /** @param {object} record that changed */
  show(record) {
    if (record.id !== this.commandId) return;
    this.status.replaceChildren(stepper(record));
    if (hasEnded(record)) setText(this.voice, `${this.title}: ${outcome(record)}`);
  }

  #submitted(event) {
    event.preventDefault();
    const entries = [];
    let first = null;
    for (const field of this.fields) {
      const { value, problem } = field.read();
      field.complain(problem ?? "");
      if (problem) first ??= field;
      else if (value !== undefined) entries.push([field.spec.name, value]);
    }
    if (first) return first.focus();
    if (this.danger) this.#ask(toArgs(entries));
    else this.#send(toArgs(entries));
  }

  /** The second step of what cannot be undone, in place: no dialog that is clicked away by habit. */
  #ask(args) {
    const yes = el("button.button.button-danger", { type: "button", text: `Yes, ${this.title.toLowerCase()}`, "data-testid": "command-confirm" });
    const no = el("button.button", { type: "button", text: "Cancel" });
    const close = () => {
      this.confirm.hidden = true;
      this.confirm.replaceChildren();
      this.submit.hidden = false;
      this.submit.focus();
    };
    yes.addEventListener("click", () => {
      close();
      this.#send(args);
    });
    no.addEventListener("click", close);
    this.confirm.replaceChildren(el("p", { text: "This may interrupt the device. Go on?" }), el("div.form-actions", {}, yes, no));
    this.confirm.onkeydown = (event) => event.key === "Escape" && close();
    this.confirm.hidden = false;
    this.submit.hidden = true;
    no.focus();
  }

  #send(args) {
    const record = this.send(args);
    setText(this.problem, record === null ? "Not connected: nothing was sent." : "");
    if (record === null) return;
    this.commandId = record.id;
    this.show(record);
  }
}

function makeField(spec) {
  const id = `field-${++lastId}`;
  const problem = el("p.field-problem", { id: `${id}-problem`, role: "alert" });
  const control = makeControl(spec, id);
  const describedBy = `${id}-problem${spec.description ? ` ${id}-hint` : ""}`;
  setAttr(control.input, "aria-describedby", describedBy);
  if (spec.required) setAttr(control.input, "aria-required", "true");
  const isSwitch = spec.type === "boolean";
  const name = el("label.field-label", { for: id }, spec.label, bounds(spec) ? el("span.field-bounds", { text: bounds(spec) }) : null);
  const hint = spec.description ? el("p.field-hint", { id: `${id}-hint`, text: spec.description }) : null;
  const element = el("div.field", { "data-field": spec.name, "data-type": spec.type },
    ...(isSwitch ? [el("div.switch-line", {}, control.element, name), hint] : [name, control.element, hint]), problem);
  return {
    spec,
    element,
    read: () => read(spec, isSwitch ? control.input.checked : control.input.value),
    focus: () => control.input.focus(),
    complain: (text) => {
      setText(problem, text);
      setAttr(control.input, "aria-invalid", text ? "true" : null);
    },
  };
}

function bounds({ type, min, max, unit }) {
  if (type !== "number" && type !== "integer") return "";
  const tail = unit ? ` ${unit}` : "";
  if (min !== null && max !== null) return `${min} to ${max}${tail}`;
  if (min !== null) return `at least ${min}${tail}`;
  return max !== null ? `at most ${max}${tail}` : unit;
}

function makeControl(spec, id) {
  const { initial } = spec;
  const text = initial === undefined ? "" : typeof initial === "string" ? initial : JSON.stringify(initial);
  if (spec.type === "boolean") {
    const input = el("input.switch", { id, type: "checkbox", role: "switch", checked: initial === true });
    return { input, element: input };
  }
  if (spec.type === "enum" && !spec.isLong) {
    const empty = initial === undefined ? [el("option", { value: "", text: spec.required ? "Choose…" : "(none)" })] : [];
    const options = spec.options.map((option, i) => el("option", { value: String(i), text: optionLabel(option), selected: option === initial }));
    const input = el("select", { id }, ...empty, ...options);
    return { input, element: input };
  }
  if (spec.type === "json") {
    const input = el("textarea", { id, rows: "3", spellcheck: "false", placeholder: "JSON" });
    input.value = initial === undefined ? "" : text;
    return { input, element: input };
  }
  if (spec.type === "number" || spec.type === "integer") return numberControl(spec, id, typeof initial === "number" ? text : "");
  const input = el("input", { id, type: "text", value: text, autocomplete: "off", spellcheck: "false", maxlength: spec.maxLength });
  return { input, element: input };
}

function numberControl(spec, id, text) {
  const { min, max } = spec;
  const input = el("input", { id, type: "number", inputmode: "decimal", value: text, step: spec.step ?? "any", min, max });
  if (!hasSlider(spec)) return { input, element: input };
  const slider = el("input.slider", { type: "range", min, max, step: sliderStep(spec), value: text || (min + max) / 2, tabindex: "-1", "aria-hidden": "true" });
  slider.addEventListener("input", () => (input.value = slider.value));
  input.addEventListener("input", () => input.value !== "" && (slider.value = input.value));
  return { input, element: el("div.number-line", {}, slider, input) };
}
