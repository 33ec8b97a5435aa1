// One picture of the gallery: its place, its placeholder, then the picture itself in the right size.

import { picture } from "studio/lib/api.js";
import { h, uid } from "studio/lib/dom.js";
import { date } from "studio/lib/format.js";

const DATA_URI = /^data:image\/[\w+.-]+;base64,[\w+/=]+$/;
const spare = [];
const WORDS = { arriving: "Arriving", failed: "It never arrived" };

/** A tile for a slot, made new or taken from those that were let go. */
export function makeTile(slot) {
  const tile = spare.pop() ?? h("div", { class: "pic", role: "option", id: uid("pic") },
    h("span", { class: "pic-picture" }),
    h("span", { class: "pic-word" }),
    h("span", { class: "pic-check", data: { check: "" } }));
  tile.item = slot;
  slot.tile = tile;
  return tile;
}

export function dropTile(slot) {
  const tile = slot.tile;
  if (!tile) return;
  slot.tile = null;
  tile.remove();
  tile.firstChild.replaceChildren();
  tile.firstChild.removeAttribute("style");
  tile.removeAttribute("data-state");
  tile.removeAttribute("data-active");
  for (const name of ["item", "asset", "shown", "spot", "said"]) tile[name] = null;
  if (spare.length < 200) spare.push(tile);
}

/** Put it where it belongs; nothing is written that has not changed. */
export function placeTile(tile, left, top, wide, high) {
  const spot = `${left},${top},${wide},${high}`;
  if (tile.spot === spot) return;
  tile.spot = spot;
  tile.style.transform = `translate(${left}px, ${top}px)`;
  tile.style.width = `${wide}px`;
  tile.style.height = `${high}px`;
}

/** Show what is known. `place` and `size` are for screen readers; while `rush` no picture is asked for. */
export function dressTile(tile, { place, size, wide, high, rush }) {
  const slot = tile.item;
  const { asset } = slot;
  const said = `${place}/${size}/${slot.chosen}`;
  if (tile.said !== said) {
    tile.said = said;
    tile.setAttribute("aria-posinset", place);
    tile.setAttribute("aria-setsize", size);
    tile.setAttribute("aria-selected", slot.chosen);
  }
  if (tile.asset !== asset) describe(tile, asset);
  if (rush || !asset || asset.state !== "ready" || asset.deleted_at) return;
  const side = Math.ceil(Math.max(wide, high * slot.ratio));
  if (tile.shown?.id === asset.id && tile.shown.side >= side) return;
  tile.shown = { id: asset.id, side };
  load(tile, asset, side);
}

function describe(tile, asset) {
  const again = tile.asset?.id === asset?.id;
  tile.asset = asset;
  tile.setAttribute("aria-label", asset ? labelOf(asset) : "Loading");
  tile.dataset.id = asset?.id ?? "";
  tile.toggleAttribute("data-favourite", Boolean(asset?.favourite));
  const state = asset?.deleted_at ? "deleted" : asset?.state ?? "unknown";
  tile.dataset.state = state;
  tile.children[1].textContent = state === "deleted" ? "Deleted" : WORDS[state] ?? "";
  if (!again) tile.firstChild.replaceChildren();
  const kept = asset?.placeholder;
  const style = tile.firstChild.style;
  style.backgroundColor = kept?.color ?? "";
  style.backgroundImage = DATA_URI.test(kept?.data_uri) ? `url("${kept.data_uri}")` : "";
}

function load(tile, asset, side) {
  const from = (dpr) => picture(asset.id, { w: side, dpr });
  const img = h("img", { alt: "", decoding: "async", draggable: "false", srcset: `${from(1)} 1x, ${from(2)} 2x`, src: from(1) });
  const started = performance.now();
  img.addEventListener("load", () => {
    // What came out of the cache is just there; only what was waited for fades in.
    if (performance.now() - started < 60) img.dataset.at = "once";
    img.dataset.loaded = "";
    while (img.previousSibling) img.previousSibling.remove();
  });
  img.addEventListener("error", () => {
    if (tile.shown?.id === asset.id) tile.shown = null;
    img.remove();
  });
  tile.firstChild.append(img);
}

function labelOf(asset) {
  const words = asset.generation?.prompt || asset.prompt || "Uploaded picture";
  const more = [date(asset.created_at)];
  if (asset.favourite) more.push("favourite");
  if (asset.deleted_at) more.push("deleted");
  else if (asset.state !== "ready") more.push(WORDS[asset.state] ?? asset.state);
  return `${words.slice(0, 300)}, ${more.join(", ")}`;
}
