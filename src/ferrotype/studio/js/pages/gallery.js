// The gallery: shelves at the side, a search above, every picture below.

import { fill, h } from "studio/lib/dom.js";
import { on } from "studio/lib/events.js";
import { plural } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { navigate } from "studio/lib/router.js";
import { announce, toastProblem } from "studio/lib/toast.js";
import { shelves } from "studio/behaviours/collections.js";
import { SHELVES, change, filters, queryOf } from "studio/behaviours/filters.js";
import { bar } from "studio/behaviours/gallery-bar.js";
import { Grid } from "studio/behaviours/gallery-grid.js";
import { handle } from "studio/behaviours/gallery-hands.js";
import { PictureList } from "studio/behaviours/gallery-list.js";
import { scrubber } from "studio/behaviours/gallery-scrubber.js";
import { Selection } from "studio/behaviours/selection.js";
import { sharesDialog } from "studio/behaviours/share.js";

export const title = "Gallery";

const TITLES = { favourite: "Favourites", uploads: "Uploads", deleted: "Bin" };
// Milliseconds in which pictures that arrive together are fetched together.
const TOGETHER = 200;

let page = null;

export function mount(root, { params }) {
  const ending = new AbortController();
  const { signal } = ending;
  const list = new PictureList(changed);
  const selection = new Selection(list, chosen);
  const search = filters();
  const shelf = shelves({ openShares: sharesDialog });
  const deeds = bar(list, selection, shelf);
  const canvas = h("div", {
    class: "gallery-canvas", role: "listbox", tabindex: 0, "aria-multiselectable": "true", "aria-label": "Pictures", "aria-describedby": "gallery-help",
  });
  const name = h("h1", { class: "display" });
  const total = h("p", { class: "soft tabular", data: { total: "" } });
  const tools = h("span", { class: "gallery-tools" });
  const empty = h("div", { class: "empty", hidden: true });
  let viewer = null;
  const rail = h("div", { class: "rail-place" });
  fill(root,
    h("div", { class: "gallery" },
      shelf.element,
      h("div", { class: "gallery-main" },
        h("header", { class: "gallery-head" }, h("div", { class: "gallery-title" }, name, tools, total), search.element),
        h("p", { class: "sr-only", id: "gallery-help" }, "Arrows move, Space chooses, Shift extends, Enter opens, Control A chooses all."),
        canvas, empty),
      rail),
    deeds.element);

  const grid = new Grid(canvas, list, selection, { signal });
  const dates = scrubber(grid, list, { signal });
  rail.append(dates.element);
  handle(grid, selection, { signal, open, remove: (index) => deeds.remove(selection.count ? selection.slots : [list.slots[index]]) });

  function changed(what) {
    if (what === "loaded") return grid.refresh();
    if (what === "all") {
      grid.active = null;
      scrollTo({ top: 0, behavior: "instant" });
    } else if (grid.active && !list.slots.includes(grid.active)) grid.active = null;
    grid.relayout({ keep: what !== "all" });
    dates.draw();
    selection.recount();
    describe();
    return undefined;
  }

  function chosen() {
    deeds.show();
    grid.refresh();
  }

  function describe() {
    const { query } = list;
    const collection = query.collection && shelf.named(query.collection);
    name.textContent = collection?.name ?? TITLES[SHELVES.find((each) => query[each])] ?? (query.collection ? "Collection" : "Gallery");
    total.textContent = plural(list.length, "picture");
    fill(tools, collection && [
      h("button", { class: "icon-button", type: "button", "aria-label": `Rename ${collection.name}`, title: "Rename", onclick: async () => { await shelf.rename(collection.id); describe(); } }, icon("more")),
      h("button", { class: "icon-button", type: "button", "aria-label": `Delete the collection ${collection.name}`, title: "Delete the collection", onclick: () => shelf.remove(collection.id) }, icon("trash")),
    ]);
    canvas.hidden = !list.length;
    empty.hidden = list.length > 0 || !list.loaded;
    if (!empty.hidden) fill(empty, nothing(query));
  }

  async function find(next) {
    const query = queryOf(next);
    search.show(query);
    shelf.show(query);
    canvas.setAttribute("aria-busy", "true");
    try {
      const first = !list.loaded;
      await list.search(query);
      if (!first) announce(plural(list.length, "picture"));
      describe();
    } catch (error) {
      if (error.name !== "AbortError") toastProblem(error);
    } finally {
      canvas.removeAttribute("aria-busy");
    }
  }

  async function open(index) {
    const asset = await list.at(index);
    if (asset) view(asset.id);
  }

  /** The picture that is looked at is in the address too: it can be sent to others, and Back leaves it. */
  async function view(assetId) {
    const { openViewer } = await import("studio/behaviours/viewer.js");
    if (signal.aborted) return;
    const fresh = !address("asset");
    if (fresh) history.pushState({ viewer: true }, "", withAsset(assetId));
    viewer = openViewer(assetId, {
      list: {
        size: () => list.length,
        at: (index) => list.at(index),
        indexOf: (id) => list.indexOf(id),
        locate: (id) => list.locate(id),
        learn: (asset) => list.learn(asset),
      },
      moved: (id) => {
        history.replaceState(history.state, "", withAsset(id));
        const index = list.indexOf(id);
        if (index >= 0) grid.goTo(index);
      },
      closed: () => {
        viewer = null;
        if (signal.aborted || location.pathname !== "/studio/gallery") return;
        if (address("asset")) {
          if (history.state?.viewer) history.back();
          else history.replaceState({}, "", withAsset(null));
        }
        canvas.focus({ preventScroll: true });
      },
      removed: (id) => {
        const slot = list.find(id);
        const putBack = slot && list.takeOut(new Set([slot]));
        shelf.reload();
        return () => { putBack?.(); shelf.reload(); };
      },
    });
  }

  let due = 0;
  const arrive = () => {
    due ||= setTimeout(() => {
      due = 0;
      list.arrive().catch(() => {}); // the next one that arrives asks again
    }, TOGETHER);
  };
  const offs = [
    on("output", arrive),
    on("ready", (event) => { if (event.asset && !list.learn(event.asset)) arrive(); }),
    on("enriched", (event) => { if (event.asset) list.learn(event.asset); }),
    on("failed", (event) => { if (event.asset) list.learn(event.asset); }),
    on("snapshot", arrive),
  ];
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && list.loaded) list.arrive().then(() => list.refresh()).catch(() => {});
  }, { signal });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && selection.count && !document.querySelector("dialog[open]")) selection.clear();
    if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) {
      event.preventDefault();
      search.focus();
    }
  }, { signal });

  const restoration = history.scrollRestoration;
  history.scrollRestoration = "manual";
  page = { find, view, close: () => viewer?.close() };
  shelf.reload().then(() => list.loaded && describe());
  find(params).then(() => { if (address("asset")) view(address("asset")); });
  const warm = setTimeout(() => import("studio/behaviours/viewer.js"), 1500);
  return () => {
    page = null;
    clearTimeout(warm);
    clearTimeout(due);
    for (const off of offs) off();
    ending.abort();
    viewer?.close();
    history.scrollRestoration = restoration;
    document.body.removeAttribute("data-choosing");
  };
}

/** The address changed: another search, or a picture to look at. */
export function update({ params }) {
  page?.find(params);
  if (params.get("asset")) page?.view(params.get("asset"));
  else page?.close();
}

const address = (name) => new URLSearchParams(location.search).get(name);

function withAsset(id) {
  const url = new URL(location.href);
  if (id) url.searchParams.set("asset", id);
  else url.searchParams.delete("asset");
  return url;
}

function nothing(query) {
  const searched = Object.keys(query).some((name) => !SHELVES.includes(name));
  if (searched) {
    return [h("h2", null, "Nothing fits"), h("p", null, "No picture has all that is asked for."),
      h("button", { class: "button", type: "button", onclick: () => change(Object.fromEntries(Object.keys(query).filter((name) => !SHELVES.includes(name)).map((name) => [name, null]))) }, "Take the filters away")];
  }
  if (query.deleted) return [h("h2", null, "The bin is empty"), h("p", null, "What you delete stays here for a while and can be restored.")];
  if (query.favourite) return [h("h2", null, "No favourites yet"), h("p", null, "Open a picture and press the heart, or choose several and mark them together.")];
  if (query.collection) return [h("h2", null, "Nothing in here yet"), h("p", null, "Choose pictures in the gallery, then “Add to collection”.")];
  if (query.uploads) return [h("h2", null, "No uploads"), h("p", null, "Pictures that you give as inputs are kept here.")];
  return [h("h2", null, "Your pictures will be here"), h("p", null, "Everything that you make is kept, with the words and settings that made it."),
    h("button", { class: "button", type: "button", data: { kind: "main" }, onclick: () => navigate("/studio") }, "Make the first one")];
}
