// The bar at the bottom while pictures are chosen: what can be done with all of them.

import { post } from "studio/lib/api.js";
import { h } from "studio/lib/dom.js";
import { count, plural } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { navigate } from "studio/lib/router.js";
import { announce, toast, toastProblem } from "studio/lib/toast.js";
import { discard, download, favourite, linkTo, restore } from "studio/behaviours/gallery-deeds.js";
import { copy, shareDialog } from "studio/behaviours/share.js";

export function bar(list, selection, shelf) {
  const number = h("b", { class: "tabular" });
  const buttons = {
    download: button("download", "Download", (assets) => download(assets)),
    favourite: button("heart", "Favourite", mark),
    collect: button("folder", "Add to collection", (assets) => shelf.choose(ids(assets), () => selection.clear())),
    uncollect: button("minus", "Take out of the collection", uncollect),
    share: button("share", "Share", (assets) => shareDialog(ids(assets))),
    link: button("link", "Copy link", ([asset]) => copy(linkTo(asset.id), "Link")),
    remix: button("remix", "Remix", ([asset]) => navigate(`/studio?remix=${asset.generation_id}`)),
    remove: button("trash", "Delete", (_, slots) => remove(slots)),
    restore: button("retry", "Restore", (_, slots) => bringBack(slots)),
  };
  const element = h("div", { class: "deeds", role: "toolbar", "aria-label": "Chosen pictures", hidden: true },
    h("button", { class: "icon-button", type: "button", "aria-label": "Choose none", title: "Choose none", onclick: () => selection.clear() }, icon("close")),
    h("span", { class: "deeds-count" }, number, h("span", { class: "deeds-word" }, " chosen")),
    h("button", { class: "button", type: "button", data: { kind: "quiet" }, onclick: () => selection.all() }, "All"),
    h("span", { class: "deeds-buttons" }, Object.values(buttons)));

  function button(symbol, name, run) {
    return h("button", { class: "icon-button", type: "button", "aria-label": name, title: name, onclick: () => act(run) }, icon(symbol));
  }

  /** Some of the chosen ones may not be known yet: they are asked for first. */
  async function act(run) {
    const slots = selection.slots;
    if (!slots.length) return;
    element.setAttribute("aria-busy", "true");
    try {
      await run(await list.assets(slots, (share) => { number.textContent = `${Math.round(share * 100)} %`; }), slots);
    } catch (error) {
      toastProblem(error);
    } finally {
      element.removeAttribute("aria-busy");
      show();
    }
  }

  async function mark(assets, slots) {
    const on = assets.some((asset) => !asset.favourite);
    if (!(await favourite(ids(assets), on))) return;
    for (const slot of slots) slot.asset = { ...slot.asset, favourite: on };
    list.changed("loaded");
    announce(on ? `${plural(assets.length, "picture")} marked as favourite` : "No longer favourites");
    if (list.query.favourite && !on) list.refresh();
  }

  async function uncollect(assets) {
    const collection = list.query.collection;
    const gone = new Set(selection.slots);
    for (let i = 0; i < assets.length; i += 1000) {
      await post(`/v1/collections/${collection}/assets/remove`, { asset_ids: ids(assets).slice(i, i + 1000) });
    }
    list.takeOut(gone);
    toast(`${plural(assets.length, "picture")} taken out`, {
      action: { label: "Undo", run: async () => {
        await post(`/v1/collections/${collection}/assets`, { asset_ids: ids(assets) });
        await list.refresh();
        shelf.reload();
      } },
    });
    shelf.reload();
  }

  async function remove(slots) {
    const assets = await list.assets(slots);
    let putBack = null;
    if (!(await discard(ids(assets), () => { putBack?.(); shelf.reload(); }))) return;
    for (const slot of slots) slot.chosen = false;
    putBack = list.takeOut(new Set(slots));
    shelf.reload();
  }

  async function bringBack(slots) {
    const assets = await list.assets(slots);
    if (!(await restore(ids(assets)))) return;
    for (const slot of slots) slot.chosen = false;
    list.takeOut(new Set(slots));
    shelf.reload();
  }

  function show() {
    const chosen = selection.count;
    const one = chosen === 1 ? selection.slots[0] : null;
    const bin = Boolean(list.query.deleted);
    element.hidden = !chosen;
    document.body.toggleAttribute("data-choosing", chosen > 0);
    number.textContent = count(chosen);
    buttons.uncollect.hidden = !list.query.collection || bin;
    buttons.link.hidden = !one || bin;
    buttons.remix.hidden = !one?.asset?.generation_id || bin;
    buttons.restore.hidden = !bin;
    for (const name of ["download", "favourite", "collect", "share", "remove"]) buttons[name].hidden = bin;
  }

  return { element, show, remove };
}

const ids = (assets) => assets.map((asset) => asset.id);
