// What we follow and how far we have got: offsets, gaps, resuming. Pure: it decides, connection.js sends.

/**
 * @typedef {object} Channel
 * @property {string} name
 * @property {string} told what the server calls it: "replay" becomes "replay/7"
 * @property {import("./replay.js").Replay|null} past whose moments it shows; null: it is of now
 * @property {string} id of the subscription; null while there is no connection
 * @property {string|null} epoch
 * @property {number|null} offset the last message we have
 * @property {number|null} number as binary frames name it
 * @property {boolean} waiting for a snapshot: until it comes, messages still belong to what was before
 * @property {number|null} lagTo where the merged frame that `lag` announced will take us; null: none is due
 * @property {"first"|"resumed"|"restarted"|"overrun"|null} came how the last snapshot found us; overrun: too far behind
 *   to merge what we missed
 */

/** The channels of one page. */
export class Channels {
  constructor() {
    /** @type {Map<string, Channel>} by name */
    this.byName = new Map();
    /** @type {Map<number, Channel>} */
    this.byNumber = new Map();
    this.lastId = 0;
  }

  /**
   * Begin to follow a channel.
   * @param {string} name
   * @param {import("./replay.js").Replay|null} [past]
   * @returns {Channel}
   */
  add(name, past = null) {
    const channel = { name, told: name, past, id: null, epoch: null, offset: null, number: null, waiting: true, lagTo: null, came: null };
    this.byName.set(name, channel);
    return channel;
  }

  /**
   * Whose message it is.
   * @param {string} told the channel as the server calls it
   * @returns {Channel|undefined}
   */
  of(told) {
    const channel = this.byName.get(told);
    if (channel?.told === told) return channel;
    return [...this.byName.values()].find((one) => one.told === told);
  }

  /** @param {string} name */
  remove(name) {
    const channel = this.byName.get(name);
    if (channel && channel.number !== null) this.byNumber.delete(channel.number);
    this.byName.delete(name);
  }

  /**
   * The message that follows the channel from where we are.
   * @param {Channel} channel
   */
  subscribeMessage(channel) {
    channel.id = `s${++this.lastId}`;
    channel.waiting = true;
    channel.lagTo = null;
    if (channel.number !== null) this.byNumber.delete(channel.number);
    channel.number = null;
    const message = { type: "subscribe", id: channel.id, channel: channel.name };
    // A moment has no offsets to resume from: the moment itself is told.
    if (channel.past) return Object.assign(message, channel.past.request());
    if (channel.epoch !== null && channel.offset !== null) {
      message.epoch = channel.epoch;
      message.offset = channel.offset;
    }
    return message;
  }

  /** The connection is gone: numbers and ids mean nothing any more, epochs and offsets do. */
  disconnected() {
    this.byNumber.clear();
    for (const channel of this.byName.values()) {
      channel.id = null;
      channel.number = null;
      channel.waiting = true;
      channel.lagTo = null;
    }
  }

  /**
   * A snapshot came: the answer to a subscription, or, to one that fell too far behind, instead of what it missed.
   * @param {{id: string, channel: string, channel_no: number, epoch: string, offset: number,
   *   recovered: boolean}} message
   * @returns {Channel|null} null when it answers a subscription that we have given up
   */
  snapshot(message) {
    const channel = [...this.byName.values()].find((one) => one.id === message.id);
    if (!channel || (!channel.past && channel.name !== message.channel)) return null;
    channel.told = message.channel;
    if (!channel.waiting) channel.came = "overrun";
    else channel.came = channel.offset === null ? "first" : message.recovered ? "resumed" : "restarted";
    if (channel.number !== null) this.byNumber.delete(channel.number);
    channel.epoch = message.epoch;
    channel.offset = message.offset;
    channel.number = message.channel_no;
    channel.waiting = false;
    channel.lagTo = null;
    this.byNumber.set(message.channel_no, channel);
    return channel;
  }

  /**
   * A numbered message came.
   * @param {Channel|undefined} channel
   * @param {number} offset
   * @returns {"apply"|"ignore"|"gap"} ignore: known already, or of a channel we do not follow
   */
  advance(channel, offset) {
    if (!channel || channel.waiting || offset <= channel.offset) return "ignore";
    if (offset !== channel.offset + 1) return "gap";
    channel.offset = offset;
    channel.lagTo = null;
    return "apply";
  }

  /**
   * `lag` came: the merged frame behind it will take us from `after` to `offset`. It does not do so itself, so that a
   * line that breaks between the two costs nothing.
   * @param {Channel|undefined} channel
   * @param {{after: number, offset: number}} message
   * @returns {"apply"|"ignore"|"gap"}
   */
  lag(channel, { after, offset }) {
    if (!channel || channel.waiting || offset <= channel.offset) return "ignore";
    if (after !== channel.offset) return "gap";
    channel.lagTo = offset;
    return "apply";
  }

  /**
   * The merged frame came.
   * @param {Channel|undefined} channel
   * @param {number} offset
   * @returns {"apply"|"ignore"|"gap"}
   */
  merged(channel, offset) {
    if (!channel || channel.waiting || offset <= channel.offset) return "ignore";
    if (offset !== channel.lagTo) return "gap";
    channel.offset = offset;
    channel.lagTo = null;
    return "apply";
  }
}
