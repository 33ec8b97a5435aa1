// One picture, as large as the window: zoom, the ones before and after, comparison, and all that is known of it.

import { get, picture } from "studio/lib/api.js";
import { fill, h } from "studio/lib/dom.js";
import { on } from "studio/lib/events.js";
import { icon } from "studio/lib/icons.js";
import { navigate } from "studio/lib/router.js";
import { kept } from "studio/lib/store.js";
import { toastProblem } from "studio/lib/toast.js";
import { discard, download, favourite, linkTo } from "studio/behaviours/gallery-deeds.js";
import { copy, shareDialog } from "studio/behaviours/share.js";
import { comparison } from "studio/behaviours/viewer-compare.js";
import { describe } from "studio/behaviours/viewer-info.js";
import { Zoom } from "studio/behaviours/viewer-zoom.js";

// A picture that is shown larger than so much of what was loaded is loaded whole.
const ENOUGH = 1.15;
// Small ones are not blown up beyond.
const BLOWN = 2;
const DATA_URI = /^data:image\/[\w+.-]+;base64,[\w+/=]+$/;
const panel = kept("localStorage", "ferrotype.viewer.info");
let open = null;

/**
 * Show a picture. `list`: ids or assets, or what has `size()`, `at(index)` (an asset, or a promise of one) and
 * `indexOf(id)`. `moved(id)`, `closed()` and `removed(id)` are told; what `removed` returns brings it back.
 */
export function openViewer(assetId, { list = [assetId], moved, closed, removed } = {}) {
  if (open) {
    open.go(assetId);
    return open;
  }
  open = new Viewer(sourceOf(list), { moved, removed, closed: () => { open = null; closed?.(); } });
  open.go(assetId);
  return open;
}

class Viewer {
  constructor(source, told) {
    Object.assign(this, { source, told, index: -1, asset: null, other: null });
    this.ending = new AbortController();
    const { signal } = this.ending;
    this.#build();
    this.zoom = new Zoom(this.stage, { signal, swipe: (way) => this.turn(way), drop: () => this.close(), zoomed: () => this.#sharpen() });
    this.compare = comparison(this.stage, {
      layer: (asset) => this.#layer(asset), turn: (way) => this.#compareWith(way), over: () => this.#endCompare(), moved: () => this.#fit(),
    });
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.dialog.addEventListener("close", () => {
      this.ending.abort();
      for (const off of this.offs) off();
      this.dialog.remove();
      told.closed();
    });
    this.offs = ["ready", "enriched", "failed"].map((type) => on(type, (event) => this.#heard(event)));
    new ResizeObserver(() => this.#fit()).observe(this.stage);
    document.body.append(this.dialog);
    this.dialog.showModal();
  }

  close() {
    this.dialog.close();
  }

  /** Show a picture by its id. */
  async go(id) {
    try {
      let index = this.source.indexOf(id);
      if (index < 0) index = (await this.source.locate?.(id)) ?? -1;
      await this.#show(index < 0 ? await get(`/v1/assets/${id}`) : await this.source.at(index), index);
    } catch (error) {
      if (error.name === "AbortError") return;
      toastProblem(error);
      if (!this.asset) this.close();
    }
  }

  /** One back or on; nothing at the ends. */
  async turn(way) {
    if (this.compare.active) return this.#compareWith(way);
    const index = this.index + way;
    if (this.index < 0 || index < 0 || index >= this.source.size()) return undefined;
    const turn = (this.turning = {});
    try {
      const asset = await this.source.at(index);
      if (asset && turn === this.turning) await this.#show(asset, index);
    } catch (error) {
      toastProblem(error);
    }
    return undefined;
  }

  async #show(asset, index) {
    this.#endCompare();
    Object.assign(this, { asset, index });
    this.zoom.reset();
    fill(this.holder, this.#layer(asset));
    const size = this.source.size();
    const words = asset.generation?.prompt || "Picture";
    this.place.textContent = index >= 0 && size > 1 ? `${index + 1} of ${size}` : "";
    this.said.textContent = `${index >= 0 && size > 1 ? `${index + 1} of ${size}: ` : ""}${words}`;
    this.back.disabled = index <= 0;
    this.on.disabled = index < 0 || index >= size - 1;
    this.deeds.compare.disabled = size < 2 || index < 0;
    this.deeds.remix.hidden = !asset.generation_id;
    this.#mark();
    this.looking?.abort();
    this.looking = new AbortController();
    if (!this.info.hidden) describe(this.info, asset, { signal: this.looking.signal });
    this.told.moved?.(asset.id);
    await this.#preload();
  }

  /** The neighbours, so that turning shows them at once. */
  async #preload() {
    const { index } = this;
    for (const next of [index + 1, index - 1]) {
      if (index < 0 || next < 0 || next >= this.source.size()) continue;
      const asset = await this.source.at(next);
      if (index !== this.index) return;
      if (asset?.state === "ready" && !asset.deleted_at) new Image().src = this.#url(asset);
    }
  }

  /** What shows a picture: its placeholder in its very place, and the picture over it. */
  #layer(asset) {
    const img = h("img", { class: "viewer-picture", alt: asset.generation?.prompt || "Uploaded picture", decoding: "async", draggable: "false" });
    const box = h("div", { class: "viewer-box", data: { state: asset.deleted_at ? "deleted" : asset.state } }, img);
    box.asset = asset;
    const known = asset.placeholder;
    box.style.backgroundColor = known?.color ?? "";
    if (DATA_URI.test(known?.data_uri)) box.style.backgroundImage = `url("${known.data_uri}")`;
    if (asset.deleted_at) box.append(h("p", { class: "viewer-word" }, "Deleted"));
    else if (asset.state === "ready") img.src = this.#url(asset);
    else box.append(h("p", { class: "viewer-word", role: "status" }, asset.state === "failed" ? "This picture never arrived" : "Arriving …"));
    img.addEventListener("load", () => {
      box.dataset.loaded = "";
      box.style.backgroundImage = box.style.backgroundColor = "none";
      if (!asset.width) this.#fit();
    });
    img.addEventListener("error", () => {
      if (!box.querySelector(".viewer-word")) box.append(h("p", { class: "viewer-word" }, "It cannot be loaded now"));
    });
    requestAnimationFrame(() => this.#fit());
    return box;
  }

  /** Sizes in CSS pixels: as large as the stage allows. */
  #fit() {
    for (const box of this.stage.querySelectorAll(".viewer-box")) {
      const img = box.firstChild;
      const [w, height] = [box.asset.width || img.naturalWidth || 1024, box.asset.height || img.naturalHeight || 1024];
      const place = box.parentElement;
      const pad = 2 * parseFloat(getComputedStyle(place).paddingLeft);
      const scale = Math.min((place.clientWidth - pad) / w, (place.clientHeight - pad) / height, BLOWN);
      box.style.width = `${Math.round(w * scale)}px`;
      box.style.height = `${Math.round(height * scale)}px`;
    }
    this.#sharpen();
  }

  #url(asset) {
    const wide = Math.min(this.stage.clientWidth, (this.stage.clientHeight * (asset.width || 1)) / (asset.height || 1)) || 960;
    const side = Math.min(wide, (asset.width || 4096) * BLOWN);
    const url = picture(asset.id, { w: side });
    // Asking for more than there is would only make another variant of the whole.
    return Number(new URL(url, location.href).searchParams.get("w")) >= (asset.width ?? Infinity) ? `/images/${asset.id}?format=auto` : url;
  }

  /** Zoomed in farther than what is loaded: the original. */
  #sharpen() {
    for (const box of this.stage?.querySelectorAll(".viewer-box[data-loaded]") ?? []) {
      const img = box.firstChild;
      const pixels = box.clientWidth * (this.zoom?.scale ?? 1) * (window.devicePixelRatio || 1);
      const whole = picture(box.asset.id);
      if (box.dataset.whole || pixels < img.naturalWidth * ENOUGH || img.naturalWidth >= box.asset.width) continue;
      box.dataset.whole = "1";
      const better = new Image();
      better.src = whole;
      better.decode().then(() => { img.src = whole; }, () => delete box.dataset.whole);
    }
  }

  async #compareWith(way) {
    const size = this.source.size();
    if (size < 2 || this.index < 0) return;
    let next = (this.other ?? this.index) + (way || 1);
    if (next === this.index) next += way || 1;
    if (next >= size || next < 0) {
      if (this.other !== null) return;
      next = this.index - 1;
    }
    const asset = await this.source.at(next);
    if (!asset) return;
    this.other = next;
    this.zoom.reset();
    this.stage.setAttribute("data-comparing", "");
    this.compare.show(this.asset, asset);
    this.said.textContent = `Comparing ${this.index + 1} with ${next + 1} of ${size}`;
    this.deeds.compare.setAttribute("aria-pressed", "true");
    this.stage.querySelector(".compare-split")?.focus();
  }

  #endCompare() {
    if (!this.compare?.active) return;
    this.compare.end();
    this.other = null;
    this.stage.removeAttribute("data-comparing");
    this.deeds.compare.setAttribute("aria-pressed", "false");
    this.zoom.reset();
    this.stage.focus();
  }

  #toggleInfo(on = this.info.hidden) {
    this.info.hidden = !on;
    this.deeds.info.setAttribute("aria-pressed", on);
    this.dialog.toggleAttribute("data-info", on);
    panel.write(on);
    if (on && this.asset) describe(this.info, this.asset, { signal: this.looking.signal });
  }

  async #favourite() {
    const { asset } = this;
    const on = !asset.favourite;
    if (!(await favourite([asset.id], on))) return;
    this.#learn({ ...asset, favourite: on });
    this.said.textContent = on ? "Marked as favourite" : "No longer a favourite";
  }

  async #remove() {
    const { asset } = this;
    let back = null;
    if (!(await discard([asset.id], async () => { await back?.(); }))) return;
    const { index } = this;
    back = await this.told.removed?.(asset.id);
    const size = this.source.size();
    const next = size ? await this.source.at(Math.min(index, size - 1)) : null;
    if (next && next.id !== asset.id) await this.#show(next, Math.min(index, size - 1));
    else this.close();
  }

  #learn(asset) {
    this.asset = { ...this.asset, ...asset };
    this.source.learn?.(this.asset);
    this.#mark();
  }

  #mark() {
    const on = Boolean(this.asset?.favourite);
    this.deeds.favourite.setAttribute("aria-pressed", on);
  }

  #heard(event) {
    if (!this.asset || event.asset?.id !== this.asset.id || this.compare.active) return;
    const waited = this.asset.state !== event.asset.state;
    this.#learn(event.asset);
    if (waited) fill(this.holder, this.#layer(this.asset));
  }

  #key(event) {
    const typing = event.target.closest("input:not([type=range]), textarea, select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const ranged = event.target.matches("input[type=range]") && event.key.startsWith("Arrow");
    const keys = {
      ArrowLeft: () => this.turn(-1), ArrowRight: () => this.turn(1),
      "+": () => this.zoom.larger(), "=": () => this.zoom.larger(), "-": () => this.zoom.smaller(), 0: () => this.zoom.reset(),
      z: () => this.zoom.toggle(), f: () => this.#favourite(), i: () => this.#toggleInfo(), d: () => download([this.asset]),
      c: () => (this.compare.active ? this.#endCompare() : this.#compareWith(1)), Delete: () => this.#remove(),
    };
    const run = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run || ranged || !this.asset || event.target.closest("dialog") !== this.dialog) return;
    event.preventDefault();
    run();
  }

  #build() {
    const deed = (name, symbol, label, run, more = {}) => (this.deeds[name] = h("button", {
      class: "icon-button", type: "button", "aria-label": label, title: label, onclick: run, ...more }, icon(symbol)));
    this.deeds = {};
    this.holder = h("div", { class: "viewer-holder" });
    this.place = h("span", { class: "viewer-place tabular" });
    this.said = h("p", { class: "sr-only", role: "status" });
    this.back = h("button", { class: "icon-button viewer-turn", type: "button", "aria-label": "The one before", data: { way: "back" }, onclick: () => this.turn(-1) }, icon("left"));
    this.on = h("button", { class: "icon-button viewer-turn", type: "button", "aria-label": "The next one", data: { way: "on" }, onclick: () => this.turn(1) }, icon("right"));
    this.stage = h("div", { class: "viewer-stage", tabindex: -1, autofocus: true }, this.holder, this.back, this.on);
    const shown = panel.read() ?? matchMedia("(min-width: 1000px)").matches;
    this.info = h("aside", { class: "viewer-info", "aria-label": "About this picture", tabindex: 0, hidden: !shown });
    const use = (path) => { navigate(path); this.close(); };
    this.dialog = h("dialog", { class: "viewer", "aria-label": "Viewer", data: {} },
      h("header", { class: "viewer-bar" },
        h("button", { class: "icon-button", type: "button", "aria-label": "Close", title: "Close", onclick: () => this.close() }, icon("close")),
        this.place,
        h("div", { class: "viewer-deeds", role: "toolbar", "aria-label": "This picture" },
          deed("favourite", "heart", "Favourite", () => this.#favourite(), { "aria-pressed": "false" }),
          deed("zoom", "zoom", "Zoom", () => this.zoom.toggle()),
          deed("compare", "compare", "Compare", () => (this.compare.active ? this.#endCompare() : this.#compareWith(1)), { "aria-pressed": "false" }),
          deed("remix", "remix", "Remix", () => use(`/studio?remix=${this.asset.generation_id}`)),
          deed("input", "input", "Use as input", () => use(`/studio?input=${this.asset.id}`)),
          deed("link", "link", "Copy link", () => copy(linkTo(this.asset.id), "Link")),
          deed("share", "share", "Share", () => shareDialog([this.asset.id])),
          deed("download", "download", "Download", () => download([this.asset])),
          deed("remove", "trash", "Delete", () => this.#remove()),
          deed("info", "info", "About this picture", () => this.#toggleInfo(), { "aria-pressed": String(shown) }))),
      this.stage, this.info, this.said);
    this.dialog.toggleAttribute("data-info", shown);
  }
}

function sourceOf(list) {
  if (typeof list.at === "function" && !Array.isArray(list)) return list;
  const ids = list.map((each) => each.id ?? each);
  const known = new Map(list.filter((each) => each.id).map((each) => [each.id, each]));
  return {
    size: () => ids.length,
    indexOf: (id) => ids.indexOf(id),
    async at(index) {
      const id = ids[index];
      if (!known.has(id) || known.get(id).state === "arriving") known.set(id, await get(`/v1/assets/${id}`));
      return known.get(id);
    },
    learn: (asset) => known.set(asset.id, asset),
  };
}
