// The rows of the gallery: only those near the viewport are in the page. The list's places and heights are known from
// the start, so the scrollbar tells the truth and any picture can be gone to.

import { fill, h } from "studio/lib/dom.js";
import { between, justify, lastAtMost, neighbour, rowHeight } from "studio/lib/justified.js";
import { watchViewport } from "studio/lib/virtual.js";
import { dressTile, dropTile, makeTile, placeTile } from "studio/behaviours/gallery-tile.js";

const GAP = 6;
const HEAD = 52;
const FOOT = 20;
const NAMES = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

export class Grid {
  constructor(canvas, list, selection, { signal, moved = () => {} }) {
    Object.assign(this, { canvas, list, selection, moved });
    this.sections = new Map();
    this.shown = new Set();
    this.active = null;
    this.width = 0;
    this.seen = { top: 0, high: innerHeight };
    this.#layOut();
    this.view = watchViewport(canvas, { signal, show: (...given) => this.#show(...given) });
    const sizes = new ResizeObserver(() => {
      if (canvas.clientWidth !== this.width) this.relayout();
    });
    sizes.observe(canvas);
    signal.addEventListener("abort", () => {
      sizes.disconnect();
      for (const slot of this.shown) dropTile(slot);
    });
  }

  /** After pictures came or went: what is looked at stays where it is. */
  relayout({ keep = true } = {}) {
    const anchor = keep && this.#anchor();
    this.#layOut();
    this.view.remeasure();
    if (anchor) {
      const index = this.list.slots.indexOf(anchor.slot);
      if (index >= 0) {
        const to = this.layout.rowTop[this.layout.row[index]] - anchor.below + this.view.offset();
        if (Math.abs(to - scrollY) > 0.5) scrollTo({ top: to, behavior: "instant" });
      }
    }
    this.view.refresh();
  }

  refresh() {
    this.view.refresh();
  }

  /** Show a picture, and make it the active one. */
  goTo(index, { active = true, centre = false } = {}) {
    const row = this.layout.row[index];
    const [top, high] = [this.layout.rowTop[row], this.layout.rowHigh[row]];
    const offset = this.view.offset();
    const roof = this.#roof() + HEAD;
    const [above, below] = [scrollY - offset + roof, scrollY - offset + innerHeight - 90];
    let to = null;
    if (centre) to = top - (innerHeight - high) / 2;
    else if (top < above) to = top - roof;
    else if (top + high > below) to = top + high - innerHeight + 90;
    if (to !== null) scrollTo({ top: Math.max(0, to + offset), behavior: "instant" });
    if (active) this.active = this.list.slots[index];
    this.view.refresh();
  }

  /** The place of the picture that is so many rows below another. */
  below(index, rows) {
    return neighbour(this.layout, index, rows);
  }

  /** Rows on one screen. */
  get rows() {
    return Math.max(1, Math.floor((innerHeight - this.#roof()) / (rowHeight(this.width) + GAP)));
  }

  /** The first picture that is wholly in sight. */
  firstInSight() {
    const at = lastAtMost(this.layout.rowTop, this.seen.top + this.#roof());
    const next = Math.min(at + (this.layout.rowTop[at] < this.seen.top + this.#roof() ? 1 : 0), this.layout.rowTop.length - 1);
    return this.layout.rowFirst[Math.max(0, next)] ?? 0;
  }

  indexOf(slot) {
    return slot ? this.list.slots.indexOf(slot) : -1;
  }

  #layOut() {
    this.width = this.canvas.clientWidth;
    const ratios = Float32Array.from(this.list.slots, (slot) => slot.ratio);
    const counts = this.list.sections.map((section) => section.count);
    const target = rowHeight(this.width);
    const gap = this.width < 480 ? 3 : GAP;
    this.layout = justify(ratios, counts, { width: this.width, target, gap, head: HEAD, foot: FOOT });
    this.canvas.style.height = `${this.layout.height}px`;
    this.moved(this.layout);
  }

  /** The picture at the top of the screen, and how far below that it begins; none at the very top of the page. */
  #anchor() {
    const top = scrollY - this.view.offset();
    if (top <= 0 || !this.layout.rowTop.length) return null;
    const row = lastAtMost(this.layout.rowTop, top + this.#roof());
    const slot = this.slots?.[this.layout.rowFirst[row]];
    return slot && { slot, below: this.layout.rowTop[row] - top };
  }

  #roof() {
    return document.querySelector(".bar")?.offsetHeight ?? 0;
  }

  #show(top, bottom, { rush, top: seen, high }) {
    this.seen = { top: seen, high };
    const { layout, list } = this;
    this.slots = list.slots;
    const [first, end] = between(layout, top, bottom);
    if (!rush) {
      list.want(...between(layout, seen, seen + high), [first, end]);
      list.want(first, end, [first, end]);
    }
    const shown = new Set();
    for (let i = first; i < end; i++) shown.add(list.slots[i]);
    for (const slot of this.shown) if (!shown.has(slot)) dropTile(slot);
    this.shown = shown;
    const dates = new Set();
    if (end > first) {
      for (let s = lastAtMost(layout.sectionFirst, first, list.sections.length); s < list.sections.length; s++) {
        if (layout.sectionFirst[s] >= end) break;
        dates.add(list.sections[s].date);
        this.#section(s, Math.max(first, layout.sectionFirst[s]), Math.min(end, layout.sectionFirst[s + 1]), rush);
      }
    }
    for (const [date, section] of this.sections) {
      if (dates.has(date)) continue;
      section.group.remove();
      this.sections.delete(date);
    }
    this.mark();
  }

  #section(s, first, end, rush) {
    const { layout, list } = this;
    const { date, count } = list.sections[s];
    let section = this.sections.get(date);
    if (!section) this.sections.set(date, (section = makeSection(date)));
    if (section.count !== count) {
      section.count = count;
      fill(section.number, `${count}`);
    }
    const top = layout.sectionTop[s];
    // Not by a transform: sticky headings know nothing of those.
    section.group.style.top = `${top}px`;
    section.group.style.height = `${layout.sectionHigh[s]}px`;
    if (!section.group.isConnected) {
      const older = [...this.canvas.children].find((each) => each.dataset.date < date);
      this.canvas.insertBefore(section.group, older ?? null);
    }
    let next = section.tiles.firstChild;
    for (let i = first; i < end; i++) {
      const slot = list.slots[i];
      const tile = slot.tile ?? makeTile(slot);
      const row = layout.row[i];
      const high = layout.rowHigh[row];
      placeTile(tile, layout.left[i], layout.rowTop[row] - top, layout.wide[i], high);
      dressTile(tile, { place: i + 1, size: layout.pictures, wide: layout.wide[i], high, rush });
      if (tile === next) next = tile.nextSibling;
      else section.tiles.insertBefore(tile, next);
    }
  }

  /** Tell which picture is the active one. */
  mark() {
    const tile = this.active?.tile;
    const before = this.canvas.querySelector("[data-active]");
    if (before !== tile) before?.removeAttribute("data-active");
    tile?.setAttribute("data-active", "");
    if (tile) this.canvas.setAttribute("aria-activedescendant", tile.id);
    else this.canvas.removeAttribute("aria-activedescendant");
  }
}

/** A day: its heading stays in sight while its pictures are. */
function makeSection(date) {
  const name = nameOf(date);
  const number = h("span", { class: "day-count" });
  const tiles = h("div", { class: "day-tiles", role: "presentation" });
  const group = h("div", { class: "day", role: "group", "aria-label": name, data: { date } },
    h("div", { class: "day-head", "aria-hidden": "true" },
      h("span", { class: "day-name", data: { day: date } }, name), number),
    tiles);
  return { date, group, tiles, number, count: -1 };
}

export function nameOf(date) {
  const today = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000);
  const back = Math.round((Date.parse(today.toISOString().slice(0, 10)) - Date.parse(date)) / 86_400_000);
  return back === 0 ? "Today" : back === 1 ? "Yesterday" : NAMES.format(new Date(date));
}
