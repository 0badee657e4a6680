// How far a command got: a stepper that never claims more than is known.

import { el } from "../dom.js";
import { formatAny, formatArgs, formatLatency, formatMoment } from "../format.js";
import { hasEnded } from "../model.js";

const STEPS = ["accepted", "sent", "delivered"];
const STEP_WORDS = new Map([["accepted", "Accepted"], ["sent", "Sent"], ["delivered", "Delivered"]]);
const STEP_HINTS = new Map([
  ["accepted", "checked by the bridge"],
  ["sent", "handed to the broker"],
  ["delivered", "the broker has it"],
]);
const END_WORDS = new Map([["succeeded", "Succeeded"], ["failed", "Failed"], ["timed_out", "Timed out"]]);
const CONFIRMED = new Map([
  ["device_reply", "the device answered"],
  ["state_echo", "seen in what the device reports"],
  ["broker_only", "the broker has it; this device never confirms"],
]);

/**
 * The state as the page shows it; besides those of the protocol: sending, refused, unknown.
 * @param {object} command a record
 */
export function shownState(command) {
  if (command.refused) return "refused";
  return command.lost ? "unknown" : command.state;
}

/** @param {object} command when it began, by the server's clock */
export function startedAt(command) {
  return command.times?.accepted ?? command.times?.sending ?? 0;
}

/**
 * What a command came to, in one sentence; also what a screen reader says.
 * @param {object} command
 */
export function outcome(command) {
  switch (shownState(command)) {
    case "refused":
      return `Refused: ${command.refused.message}`;
    case "unknown":
      return "Unknown: the connection broke before the end. It may have run.";
    case "succeeded": {
      const how = CONFIRMED.get(command.confirmed_by) ?? "";
      const value = command.value === null || command.value === undefined ? "" : ` Answer: ${formatAny(command.value)}.`;
      return `Succeeded${how ? `: ${how}` : ""}.${value}`;
    }
    case "failed":
      return `Failed: ${command.error?.message ?? "no reason given"}`;
    case "timed_out": {
      const late = command.late ? ` It answered later${command.value === null ? "" : `: ${formatAny(command.value)}`}.` : " It may still act.";
      return `Timed out: ${command.error?.message ?? "no answer"}.${late}`;
    }
    default:
      return "";
  }
}

/**
 * The stepper of one command.
 * @param {object} command
 * @returns {HTMLElement}
 */
export function stepper(command) {
  const times = command.times ?? {};
  const state = shownState(command);
  const ended = hasEnded(command);
  const start = startedAt(command);
  const step = (name, word, status, hint) => el("li.step", { "data-step": name, "data-status": status, title: hint },
    el("span.step-word", { text: word }),
    el("span.step-time", { text: times[name] === undefined ? "" : name === "accepted" ? "0 ms" : `+${formatLatency(times[name] - start)}` }));
  const steps = STEPS.map((name) => {
    const reached = times[name] !== undefined;
    const status = reached ? "done" : ended ? "skipped" : nextStep(times) === name ? "active" : "ahead";
    return step(name, STEP_WORDS.get(name), status, STEP_HINTS.get(name));
  });
  const allThere = STEPS.every((name) => times[name] !== undefined);
  const last = END_WORDS.has(state) ? state : "answer";
  const lastWord = END_WORDS.get(state) ?? (state === "refused" ? "Refused" : state === "unknown" ? "Unknown" : "Answer");
  const tone = !ended ? (allThere ? "active" : "ahead") : endTone(command);
  steps.push(step(last, lastWord, tone, CONFIRMED.get(command.confirmed_by) ?? null));
  const text = outcome(command);
  return el("div.command-status", { "data-testid": "command-status", "data-state": state, "data-command-id": command.id },
    el("ol.stepper", {}, ...steps), text ? el("p.outcome", { "data-tone": tone, text }) : null);
}

/** done: well; warn: nobody knows; bad. */
export function endTone(command) {
  const state = shownState(command);
  if (state === "succeeded") return command.confirmed_by === "broker_only" ? "warn" : "done";
  return state === "unknown" ? "warn" : "bad";
}

function nextStep(times) {
  return STEPS.find((name) => times[name] === undefined);
}

/**
 * One line of a log of commands.
 * @param {object} command
 * @param {{who: string, device: HTMLElement|null, title: string, nowMs: number}} about
 */
export function logEntry(command, { who, device, title, nowMs }) {
  const state = shownState(command);
  const args = formatArgs(command.args);
  const last = Math.max(...Object.values(command.times ?? {}), 0);
  const took = hasEnded(command) && last > startedAt(command) ? ` · ${formatLatency(last - startedAt(command))}` : "";
  const word = END_WORDS.get(state) ?? STEP_WORDS.get(state) ?? (state === "refused" ? "Refused" : state === "unknown" ? "Unknown" : "Sending");
  const tone = hasEnded(command) ? endTone(command) : "active";
  const text = tone === "done" ? "" : outcome(command);
  return el("li.log-entry", { "data-testid": "command-log-entry", "data-state": state, "data-command-id": command.id },
    el("div.log-line", {},
      el("span.log-title", {}, title, args ? el("span.log-args", { text: ` ${args}` }) : null),
      el("span.log-state", { "data-tone": tone, text: `${word}${took}` })),
    el("div.log-meta", {}, device, el("span", { text: `${formatMoment(startedAt(command) || null, nowMs)} · ${who}` })),
    text ? el("p.log-outcome", { text }) : null);
}
