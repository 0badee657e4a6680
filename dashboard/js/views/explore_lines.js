// The picked series of the Explore page: what is known of each, its colour, its samples over the span that is shown.

import { gapLimit, typicalInterval } from "../decimate.js";
import { JoinedSamples } from "../joined.js";
import { isWanted } from "../metrics.js";
import { Past } from "../past.js";
import { token } from "../theme.js";
import { daysBefore } from "../wall_time.js";
import { readingAt } from "./explore_cursor.js";
import { COMPARES, MAX_SERIES } from "./explore_state.js";
import { LiveTails } from "./live_tails.js";

const YOUNGEST_MS = 5_000; // live ends are of the fleet's channel, which leaves out some readings
const EDGE_COLUMNS = 4; // so many pixels beside a reading it still counts as under the cursor

export class ExploreLines {
  /**
   * @param {import("../main.js").Context} context
   * @param {() => void} onChange something was loaded, or could not be
   */
  constructor(context, onChange) {
    this.context = context;
    this.tails = new LiveTails(context.store);
    const options = { now: () => context.clock.now(), onChange, youngestMs: YOUNGEST_MS };
    this.past = new Past(options);
    this.before = new Past(options); // the same some time before, to compare with
    /** @type {Map<number, number>} which colour each has: it keeps it while it is picked */
    this.slots = new Map();
    /** @type {Set<number>} */
    this.hidden = new Set();
    /** @type {import("./explore_plots.js").Drawn[]} as they were drawn last */
    this.drawn = [];
  }

  get isLoading() {
    return this.past.isLoading || this.before.isLoading;
  }

  get error() {
    return this.past.error ?? this.before.error;
  }

  /**
   * What is known of a series: from the fleet, or from the history where the fleet has forgotten it.
   * @param {number} id
   */
  info(id) {
    const { store } = this.context;
    const live = store.series.get(id);
    const told = this.past.answers.get(id)?.at(-1);
    const known = live ?? (told?.deviceId === undefined ? null : told);
    const whose = this.past.unknown.has(id) ? "not known here" : "";
    if (!known) return { id, deviceId: "", device: whose, metric: "", name: `Series ${id}`, label: `Series ${id}`, kind: "number", unit: "", precision: null, texts: [] };
    const device = store.devices.get(known.deviceId)?.info.name || known.deviceId;
    // Numbers of texts are given for good: the longer list has the shorter one in it.
    const texts = (live?.texts.length ?? 0) >= (told?.texts?.length ?? 0) ? (live?.texts ?? []) : told.texts;
    const { deviceId, metric, name, kind, unit, precision } = known;
    return { id, deviceId, device, metric, name, label: `${device} · ${name}`, kind, unit, precision, texts };
  }

  /** @param {number[]} ids what is picked now */
  pick(ids) {
    for (const id of this.slots.keys()) if (!ids.includes(id)) this.slots.delete(id);
    for (const id of this.hidden) if (!ids.includes(id)) this.hidden.delete(id);
    const taken = new Set(this.slots.values());
    for (const id of ids) {
      if (this.slots.has(id)) continue;
      const free = Array.from({ length: MAX_SERIES }, (_, slot) => slot).find((slot) => !taken.has(slot));
      this.slots.set(id, free);
      taken.add(free);
    }
  }

  /** @param {number} id */
  colour(id) {
    return token(`--series-${this.slots.get(id) + 1}`);
  }

  /**
   * Everything for one picture; asks for what is missing.
   * @param {import("./explore_state.js").ExploreState} state
   * @param {import("../past.js").View} view
   * @returns {import("./explore_plots.js").Drawn[]}
   */
  look({ seriesIds, compare }, view) {
    const { days } = COMPARES.get(compare);
    // By the calendar, as of the end of the span: what was at this time of day.
    const shiftMs = days ? view.toMs - daysBefore(view.toMs, days) : 0;
    const earlier = { ...view, fromMs: view.fromMs - shiftMs, toMs: view.toMs - shiftMs };
    this.past.want(seriesIds, view);
    if (days) this.before.want(seriesIds, earlier);
    this.view = view;
    this.drawn = seriesIds.map((id) => {
      const info = this.info(id);
      const ring = this.tails.get(id);
      const holds = isWanted(info);
      const samples = new JoinedSamples(this.past.get(id, view), ring, { holds });
      const gapMs = ring && !holds ? gapLimit(typicalInterval(ring)) : Infinity;
      const ghost = days ? { samples: new JoinedSamples(this.before.get(id, earlier), null, { holds }), shiftMs } : null;
      return { info, colour: this.colour(id), isHidden: this.hidden.has(id), samples, gapMs, ghost };
    });
    return this.drawn;
  }

  /**
   * What every series was at a moment, and at the same time before.
   * @param {number} id
   * @param {number} timeMs
   */
  at(id, timeMs) {
    const one = this.drawn.find(({ info }) => info.id === id);
    if (!one) return { now: null, before: null };
    const edgeMs = ((this.view.toMs - this.view.fromMs) / this.view.columns) * EDGE_COLUMNS;
    const isState = one.info.kind !== "number";
    const how = { gapMs: one.gapMs, holds: isState || isWanted(one.info), edgeMs: Math.max(edgeMs, Number.isFinite(one.gapMs) ? one.gapMs : 0) };
    const now = readingAt(one.samples, timeMs, how);
    const before = one.ghost && readingAt(one.ghost.samples, timeMs - one.ghost.shiftMs, { ...how, gapMs: Infinity });
    return { now, before };
  }

  /**
   * The last reading of a series in the picture.
   * @param {number} id
   */
  last(id) {
    const one = this.drawn.find(({ info }) => info.id === id);
    const { fromMs, toMs } = this.view;
    const lastOf = (samples, begin, end) => {
      let at = samples.lowerBound(end) - 1;
      while (at >= 0 && Number.isNaN(samples.value(at))) at--;
      return at >= 0 && samples.time(at) >= begin ? { timeMs: samples.time(at), value: samples.value(at) } : null;
    };
    if (!one) return { now: null, before: null };
    const shiftMs = one.ghost?.shiftMs ?? 0;
    return { now: lastOf(one.samples, fromMs, toMs), before: one.ghost && lastOf(one.ghost.samples, fromMs - shiftMs, toMs - shiftMs) };
  }

  /** The server can be asked again, or everything shall be. */
  refresh() {
    this.past.refresh();
    this.before.refresh();
  }

  stop() {
    this.past.stop();
    this.before.stop();
  }
}
