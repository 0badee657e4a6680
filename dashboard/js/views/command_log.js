// The commands of one device, newest first.

import { el } from "../dom.js";
import { label } from "../schema.js";
import { logEntry, startedAt } from "./command_status.js";

const SHOWN = 20;

export class CommandLog {
  /**
   * @param {string} deviceId
   * @param {import("../main.js").Context} context
   */
  constructor(deviceId, context) {
    this.deviceId = deviceId;
    this.context = context;
    this.list = el("ol.log", { "data-testid": "command-log" });
    this.element = el("section.side-block.device-log", { hidden: true }, el("h2", { text: "Command history" }), this.list);
  }

  update() {
    const { store, clock } = this.context;
    const device = store.devices.get(this.deviceId);
    const commands = store.commandsOf(this.deviceId).sort((a, b) => startedAt(b) - startedAt(a)).slice(0, SHOWN);
    this.element.hidden = commands.length === 0;
    this.list.replaceChildren(...commands.map((command) => logEntry(command, {
      who: command.sent_by === store.session.id ? "you" : `operator ${String(command.sent_by ?? "").slice(0, 8)}`,
      device: null,
      title: label(device?.commands?.get(command.name)?.title) || label(command.name),
      nowMs: clock.now(),
    })));
  }
}
