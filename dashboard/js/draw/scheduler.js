// The one scheduler: everything that moves on the page is painted from here, in one animation frame, only while it
// can be seen, and no more often than it asks for.

const PERIOD_MS = 250; // four times a second: what people can read
const AGE_MS = 900; // ages need a paint of their own only when nothing else caused one

/**
 * @typedef {object} Painted
 * @property {() => void} invalidate paint again when it is due and visible
 * @property {() => void} remove
 * @property {(periodMs: number) => void} setPeriod
 */

export class Scheduler {
  constructor() {
    /** @type {Map<Element, object>} */
    this.items = new Map();
    this.dirty = new Set();
    this.timer = 0;
    this.timerDue = 0;
    this.frame = 0;
    this.framedAt = -Infinity;
    /** Called when something was painted, in the same animation frame. */
    this.onPaint = () => {};
    this.observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "200px 0px" });
    document.addEventListener("visibilitychange", () => this.#plan());
  }

  /**
   * Let `paint` be called for an element.
   * @param {Element} element
   * @param {() => void} paint
   * @param {number} [periodMs] least time between two paints
   * @returns {Painted}
   */
  add(element, paint, periodMs = PERIOD_MS) {
    const item = { element, paint, periodMs, paintedAt: -Infinity, visible: false };
    this.items.set(element, item);
    this.observer.observe(element);
    this.dirty.add(item);
    return {
      invalidate: () => {
        this.dirty.add(item);
        if (item.visible && !this.frame && !this.timer) this.#plan();
      },
      remove: () => {
        this.observer.unobserve(element);
        this.items.delete(element);
        this.dirty.delete(item);
      },
      setPeriod: (ms) => (item.periodMs = ms),
    };
  }

  /**
   * Everything again, but together with the next readings if they come: a paint for the sake of ages alone would keep
   * the readings that come right after it waiting for a quarter of a second.
   */
  ageAll() {
    for (const item of this.items.values()) if (item.visible) this.dirty.add(item);
    if (performance.now() - this.framedAt >= AGE_MS) this.#plan();
  }

  /** Everything again, soon: colours have changed. */
  invalidateAll() {
    for (const item of this.items.values()) if (item.visible) this.dirty.add(item);
    this.#plan();
  }

  #seen(entries) {
    for (const entry of entries) {
      const item = this.items.get(entry.target);
      if (!item || item.visible === entry.isIntersecting) continue;
      item.visible = entry.isIntersecting;
      item.paintedAt = -Infinity; // what scrolls into view is painted at once
      if (item.visible) this.dirty.add(item);
    }
    this.#plan();
  }

  #plan() {
    if (this.frame || document.visibilityState !== "visible") return;
    const now = performance.now();
    let due = Infinity;
    for (const item of this.dirty) {
      if (!item.visible) continue;
      if (item.paintedAt === -Infinity) {
        due = now;
        break;
      }
      // All that changes is painted together: twenty frames a second with one row each would cost five times as much.
      due = Math.min(due, Math.max(item.paintedAt + item.periodMs, this.framedAt + PERIOD_MS));
    }
    if (due === Infinity || (this.timer && due >= this.timerDue)) return;
    clearTimeout(this.timer);
    this.timer = 0;
    if (due - now <= 1) {
      this.frame = requestAnimationFrame(() => this.#paint());
      return;
    }
    this.timerDue = due;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.#plan();
    }, due - now);
  }

  #paint() {
    this.frame = 0;
    const now = performance.now();
    this.framedAt = now;
    let isPainted = false;
    for (const item of this.dirty) {
      // A display frame early is on time: otherwise 250 ms becomes 266.
      if (!item.visible || now - item.paintedAt < item.periodMs - 17) continue;
      this.dirty.delete(item);
      item.paintedAt = now;
      isPainted = true;
      try {
        item.paint();
      } catch (error) {
        console.error("fleetwire: something could not be drawn", error);
      }
    }
    if (isPainted) this.onPaint();
    this.#plan();
  }
}
