// Commands that the bridge has not confirmed yet: what to do with them when the line comes back. Pure but for the clock.

const RESEND_MS = 20_000; // an older command is not sent again: whoever clicked has moved on

export class PendingCommands {
  constructor() {
    /** @type {Map<string, {message: object, sentAt: number, epoch: string|null}>} by command id */
    this.byId = new Map();
  }

  /**
   * @param {object} message as it was sent
   * @param {string|null} epoch of the server that it was sent to
   * @param {number} now
   */
  add(message, epoch, now) {
    this.byId.set(message.id, { message, epoch, sentAt: now });
  }

  /**
   * The server has spoken of it.
   * @param {string} id
   * @returns {boolean} whether it was waited for
   */
  settle(id) {
    return this.byId.delete(id);
  }

  /**
   * Welcomed again: which messages to send once more, and which commands nobody will ever hear of.
   * The same id is the same command for a server that has it already. One that has started anew knows no ids:
   * there it could run twice, so it is given up.
   * @param {string} epoch of the server that welcomes us
   * @param {number} now
   * @returns {{again: object[], lost: string[]}}
   */
  review(epoch, now) {
    const again = [];
    const lost = [];
    for (const [id, pending] of this.byId) {
      if (pending.epoch === epoch && now - pending.sentAt < RESEND_MS) again.push(pending.message);
      else lost.push(id);
    }
    for (const id of lost) this.byId.delete(id);
    return { again, lost };
  }
}
