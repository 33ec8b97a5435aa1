// All pictures that a search finds, newest first, as slots: each knows its ratio from the start, and its asset once
// somebody looked near it. Windows are asked for by day and place, as of the newest picture that is known, so that
// what is made meanwhile moves nothing.

import { get } from "studio/lib/api.js";

const MOST = 200;
const FEWEST = 60;
const AT_ONCE = 3;
// So many new ones at once are looked for; where more came, everything is asked for again.
const NEW_ONES = 40;

export const MINUTES_EAST = -new Date().getTimezoneOffset();

/** The day that the server counts a picture to, YYYY-MM-DD: an id begins with its milliseconds. */
export function dayOf(assetId) {
  const at = parseInt(assetId.replaceAll("-", "").slice(0, 12), 16);
  return new Date(at + MINUTES_EAST * 60_000).toISOString().slice(0, 10);
}

export class PictureList {
  /** `changed(what)`: "all" (a new search), "places" (pictures came or went), "loaded" (assets became known). */
  constructor(changed) {
    this.changed = changed;
    this.slots = [];
    this.sections = [];
    this.query = {};
    this.loaded = false;
    this.newest = null;
    // Grows with every change of places.
    this.version = 0;
    this.windows = new Set();
    this.searching = null;
  }

  get length() {
    return this.slots.length;
  }

  /** Ask what there is. Where nothing has changed since the last time, nothing happens. */
  async search(query) {
    this.searching?.abort();
    const asking = (this.searching = new AbortController());
    const told = await get(`/v1/gallery/timeline?${this.#params(query)}`, { signal: asking.signal });
    if (asking.signal.aborted) return;
    const again = this.loaded && same(query, this.query);
    const sections = told.sections.map(({ date, count }) => ({ date, count }));
    if (again && told.newest === this.newest && same(sections, this.sections)) return;
    this.#drop();
    this.version++;
    this.query = query;
    this.newest = told.newest;
    this.sections = sections;
    this.slots = told.sections.flatMap((section) => section.ratios.map(slot));
    this.loaded = true;
    this.changed(again ? "places" : "all");
  }

  /** The same search once more. */
  refresh() {
    return this.search(this.query);
  }

  /** Make sure that the assets from `first` to `end` are known or on their way; what lies outside of `keep` is no
   * longer waited for. */
  want(first, end, keep = [first, end]) {
    for (const window of this.windows) {
      if (!window.strict && (window.end <= keep[0] || window.first >= keep[1])) window.abort.abort();
    }
    for (let i = first; i < end && this.windows.size < AT_ONCE; i++) {
      const there = this.slots[i];
      if (there && !there.asset && !there.asked) this.#load(i, Math.max(end, i + FEWEST));
    }
  }

  /** Assets of these slots, asking for those that are not known yet. `told(share)` hears how far it is. */
  async assets(slots, told = () => {}) {
    const wanted = new Set(slots.filter((each) => !each.asset));
    const all = wanted.size;
    for (let i = 0; i < this.slots.length && wanted.size; i++) {
      if (!wanted.has(this.slots[i])) continue;
      await this.#load(i, i + MOST, true);
      for (const each of this.slots.slice(i, i + MOST)) if (each.asset) wanted.delete(each);
      if (wanted.has(this.slots[i])) break;
      told(1 - wanted.size / all);
    }
    if (wanted.size) throw new Error("The pictures have changed meanwhile: please try again.");
    return slots.map((each) => each.asset);
  }

  /** The asset at a place; null where there is none any more. */
  async at(index) {
    const there = this.slots[index];
    if (!there) return null;
    if (!there.asset) await this.#load(Math.max(0, index - FEWEST / 2), index + FEWEST / 2, true);
    return there.asset;
  }

  indexOf(assetId) {
    return this.slots.findIndex((each) => each.asset?.id === assetId);
  }

  /** Where a picture stands that may not be known yet; -1 where it is not in this search. */
  async locate(assetId) {
    const date = dayOf(assetId);
    let first = 0;
    for (const section of this.sections) {
      if (section.date === date) {
        for (let i = first; i < first + section.count; i++) {
          if (!this.slots[i].asset) await this.#load(i, first + section.count, true);
          if (this.slots[i]?.asset?.id === assetId) return i;
        }
        return -1;
      }
      first += section.count;
    }
    return -1;
  }

  find(assetId) {
    return this.slots.find((each) => each.asset?.id === assetId);
  }

  /** Look for pictures that came since, and put them at the top; how many there were. */
  async arrive() {
    if (!this.loaded) return 0;
    const query = this.query;
    const { data } = await get(`/v1/gallery?${this.#params(query)}&limit=${NEW_ONES}`);
    if (query !== this.query) return 0;
    const known = new Set(this.slots.slice(0, NEW_ONES * 2).map((each) => each.asset?.id));
    const fresh = data.filter((asset) => !known.has(asset.id) && (!this.newest || asset.id > this.newest));
    for (const asset of data) {
      const there = known.has(asset.id) && this.find(asset.id);
      if (there) there.asset = asset;
    }
    if (fresh.length >= NEW_ONES) {
      await this.refresh();
      return fresh.length;
    }
    for (const asset of fresh.reverse()) this.#insert(asset);
    if (fresh.length) this.#moved();
    return fresh.length;
  }

  /** New facts about an asset; false where it is not among those that are known. */
  learn(asset) {
    const there = this.find(asset.id);
    if (!there) return false;
    const ratio = ratioOf(asset);
    const moves = Math.abs(ratio - there.ratio) > 0.02;
    there.asset = { ...there.asset, ...asset };
    there.ratio = ratio;
    this.changed(moves ? "places" : "loaded");
    return true;
  }

  /** Take pictures out; a function that puts them back where they were, if it can. */
  takeOut(gone) {
    const { slots, sections } = this;
    let at = 0;
    const left = sections.map(({ date, count }) => {
      const stay = slots.slice(at, (at += count)).filter((each) => !gone.has(each)).length;
      return { date, count: stay };
    });
    this.sections = left.filter((section) => section.count);
    this.slots = slots.filter((each) => !gone.has(each));
    this.#moved();
    const version = this.version;
    return async () => {
      if (version !== this.version) return this.refresh();
      [this.slots, this.sections] = [slots, sections];
      this.#moved();
    };
  }

  #moved() {
    this.#drop();
    this.version++;
    this.changed("places");
  }

  #insert(asset) {
    const date = dayOf(asset.id);
    if (this.sections[0]?.date === date) this.sections[0].count++;
    else this.sections.unshift({ date, count: 1 });
    // A new array: whoever lays out anew compares with the places of before.
    this.slots = [{ ...slot(ratioOf(asset)), asset }, ...this.slots];
    if (!this.newest || asset.id > this.newest) this.newest = asset.id;
  }

  /** Ask for the assets from a place on. A `strict` one is waited for by somebody: it is not given up for others,
   * and its failure is told. */
  async #load(from, to, strict = false) {
    const place = this.#place(from);
    if (!place) return;
    let end = from + 1;
    while (end < Math.min(this.slots.length, to, from + MOST) && !this.slots[end].asset) end++;
    const asked = this.slots.slice(from, end);
    const window = { first: from, end, strict, abort: new AbortController() };
    this.windows.add(window);
    for (const each of asked) each.asked = true;
    const until = this.newest ? `&until=${this.newest}` : "";
    const where = `date=${place.date}&offset=${place.offset}&limit=${asked.length}&beyond=true${until}`;
    try {
      const { data } = await get(`/v1/gallery?${this.#params(this.query)}&${where}`, { signal: window.abort.signal });
      data.slice(0, asked.length).forEach((asset, i) => (asked[i].asset = asset));
    } catch (error) {
      if (strict) throw error;
      // What failed is asked for again when somebody looks there again.
    } finally {
      this.windows.delete(window);
      for (const each of asked) each.asked = false;
    }
    if (!window.abort.signal.aborted) this.changed("loaded");
  }

  /** The day of a picture, and which of that day's it is. */
  #place(index) {
    let first = 0;
    for (const { date, count } of this.sections) {
      if (index < first + count) return { date, offset: index - first };
      first += count;
    }
    return null;
  }

  #drop() {
    for (const window of this.windows) if (!window.strict) window.abort.abort();
  }

  #params(query) {
    return new URLSearchParams({ ...query, tz: MINUTES_EAST });
  }
}

export function ratioOf(asset) {
  return asset.width && asset.height ? Math.round((asset.width / asset.height) * 100) / 100 : 1;
}

function slot(ratio) {
  return { ratio, asset: null, asked: false, chosen: false, tile: null };
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
