// Shelves at the side of the gallery: everything, favourites, uploads, the bin, and collections with names of one's own.

import { del, get, patch, post } from "studio/lib/api.js";
import { confirm, openDialog } from "studio/lib/dialogs.js";
import { fill, h, one, uid } from "studio/lib/dom.js";
import { count, plural } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { toast, toastProblem } from "studio/lib/toast.js";
import { SHELVES, change } from "studio/behaviours/filters.js";

const FIXED = [
  [null, "All pictures", "image"],
  ["favourite", "Favourites", "heart"],
  ["uploads", "Uploads", "upload"],
  ["deleted", "Bin", "trash"],
];
const NONE = Object.fromEntries(SHELVES.map((name) => [name, null]));

/** Every collection, oldest first. */
export async function allCollections() {
  const found = [];
  let cursor = "";
  do {
    const page = await get(`/v1/collections?limit=100${cursor}`);
    found.push(...page.data);
    cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : null;
  } while (cursor);
  return found;
}

/** The list of shelves; `show(query)` marks the one that is looked at. */
export function shelves({ openShares }) {
  let known = [];
  let query = {};
  const own = h("ul", { class: "shelf-list" });
  const fixed = h("ul", { class: "shelf-list" });
  const element = h("nav", { class: "shelves", "aria-label": "Shelves" },
    fixed,
    h("div", { class: "shelf-title" },
      h("h2", null, "Collections"),
      h("button", { class: "icon-button", type: "button", "aria-label": "New collection", title: "New collection", onclick: () => create() }, icon("plus"))),
    own,
    h("button", { class: "shelf", type: "button", onclick: openShares }, icon("share"), h("span", null, "Shared links")));

  function draw() {
    const at = query.collection ?? SHELVES.find((name) => query[name]) ?? null;
    const shelf = (key, name, symbol, changes, number) => h("li", null,
      h("button", { class: "shelf", type: "button", "aria-current": at === key ? "true" : null, onclick: () => change({ ...NONE, ...changes }) },
        icon(symbol), h("span", null, name), number === undefined ? null : h("span", { class: "shelf-count" }, count(number))));
    const focused = element.contains(document.activeElement) ? document.activeElement.textContent : null;
    fill(fixed, FIXED.map(([key, name, symbol]) => shelf(key, name, symbol, key ? { [key]: "true" } : {})));
    fill(own, known.map((each) => shelf(each.id, each.name, "folder", { collection: each.id }, each.count)),
      !known.length && h("li", { class: "shelf-none" }, "None yet"));
    if (focused) [...element.querySelectorAll("button")].find((each) => each.textContent === focused)?.focus();
  }

  async function create(assetIds = []) {
    const name = await askName("New collection", "", "Create");
    if (!name) return null;
    try {
      const made = await post("/v1/collections", { name });
      if (assetIds.length) await post(`/v1/collections/${made.id}/assets`, { asset_ids: assetIds });
      toast(assetIds.length ? `${plural(assetIds.length, "picture")} added to ${name}` : `${name} was created`);
      await reload();
      return made;
    } catch (error) {
      toastProblem(error);
      return null;
    }
  }

  async function reload() {
    try {
      known = await allCollections();
      draw();
    } catch (error) {
      toastProblem(error);
    }
  }

  draw();
  return {
    element,
    create,
    reload,
    show(next) {
      query = next;
      draw();
    },
    named: (id) => known.find((each) => each.id === id) ?? null,
    async rename(id) {
      const before = known.find((each) => each.id === id);
      const name = await askName("Rename the collection", before?.name ?? "", "Rename");
      if (!name || name === before?.name) return;
      try {
        await patch(`/v1/collections/${id}`, { name });
        await reload();
      } catch (error) {
        toastProblem(error);
      }
    },
    async remove(id) {
      const name = known.find((each) => each.id === id)?.name ?? "this collection";
      const sure = await confirm({ title: `Delete ${name}?`, text: "Its pictures stay in the gallery.", yes: "Delete the collection", danger: true });
      if (!sure) return;
      try {
        await del(`/v1/collections/${id}`);
        change({ collection: null });
        await reload();
      } catch (error) {
        toastProblem(error);
      }
    },
    /** Choose where pictures go; those that were there already stay. */
    choose(assetIds, done) {
      const dialog = openDialog({
        title: `Add ${plural(assetIds.length, "picture")} to`,
        body: [h("ul", { class: "choices" },
          known.map((each) => h("li", null, h("button", { class: "shelf", type: "button", onclick: () => add(each) },
            icon("folder"), h("span", null, each.name), h("span", { class: "shelf-count" }, count(each.count))))),
          h("li", null, h("button", { class: "shelf", type: "button", onclick: async () => { dialog.close(); if (await create(assetIds)) done(); } },
            icon("plus"), h("span", null, "New collection"))))],
      });
      async function add(collection) {
        dialog.close();
        try {
          for (let i = 0; i < assetIds.length; i += 1000) {
            await post(`/v1/collections/${collection.id}/assets`, { asset_ids: assetIds.slice(i, i + 1000) });
          }
          toast(`${plural(assetIds.length, "picture")} added to ${collection.name}`);
          done();
          await reload();
        } catch (error) {
          toastProblem(error);
        }
      }
    },
  };
}

/** Ask for a name; null when it was given up. */
function askName(title, value, yes) {
  return new Promise((done) => {
    const id = uid("name");
    const form = h("form", { method: "dialog", class: "field", id, onsubmit: (event) => { event.preventDefault(); dialog.close("yes"); } },
      h("label", { class: "label", for: `${id}-name` }, "Name"),
      h("input", { class: "input", id: `${id}-name`, name: "name", required: true, maxlength: 200, value, autocomplete: "off" }));
    const dialog = openDialog({
      title,
      body: [form],
      foot: [
        h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { class: "button", type: "submit", form: id, data: { kind: "main" } }, yes),
      ],
      onclose: (answer) => done(answer === "yes" ? one("input", form).value.trim() || null : null),
    });
    one("input", form).select();
  });
}
