// Pages for others: some pictures behind a link that nobody can guess, for a while or until it is revoked.

import { del, get, post } from "studio/lib/api.js";
import { openDialog } from "studio/lib/dialogs.js";
import { fill, h, one, uid } from "studio/lib/dom.js";
import { date, plural } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { announce, toast, toastProblem } from "studio/lib/toast.js";

const DAY = 86_400;
const TERMS = [["", "Never"], [DAY, "After a day"], [7 * DAY, "After a week"], [30 * DAY, "After 30 days"], [365 * DAY, "After a year"]];
export const MOST = 200;

/** Put text into the clipboard and say so; where the browser forbids it the text is shown for copying. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    const field = h("textarea", { class: "textarea", readonly: true, rows: 4, "aria-label": what });
    field.value = text;
    openDialog({ title: `Copy the ${what.toLowerCase()}`, body: [field] });
    field.select();
  }
}

/** Ask how, make a share of these pictures, and show its link. */
export function shareDialog(assetIds) {
  if (assetIds.length > MOST) return toast(`A page shows at most ${MOST} pictures: please choose fewer.`, { kind: "error" });
  const id = uid("share");
  const name = h("input", { class: "input", name: "title", maxlength: 200, placeholder: "Pictures", autocomplete: "off" });
  const term = h("select", { class: "select", name: "expires" }, TERMS.map(([value, text]) => h("option", { value, selected: value === 30 * DAY }, text)));
  const words = h("input", { type: "checkbox", role: "switch", name: "show_prompt" });
  const form = h("form", { id, class: "share-form", onsubmit: make },
    h("label", { class: "field" }, h("span", { class: "label" }, "Title"), name),
    h("label", { class: "field" }, h("span", { class: "label" }, "The link ends"), term),
    h("label", { class: "switch" }, "Show the prompts", words),
    h("p", { class: "faint" }, "Whoever has the link sees these pictures without signing in. You can revoke it at any time."));
  const dialog = openDialog({
    title: `Share ${plural(assetIds.length, "picture")}`,
    body: [form],
    foot: [h("button", { class: "button", type: "submit", form: id, data: { kind: "main" } }, icon("link"), "Make the link")],
  });
  async function make(event) {
    event.preventDefault();
    const button = one(".dialog-foot button", dialog);
    button.disabled = true;
    const order = { asset_ids: assetIds, show_prompt: words.checked };
    if (name.value.trim()) order.title = name.value.trim();
    if (term.value) order.expires_in = Number(term.value);
    try {
      made(dialog, await post("/v1/shares", order));
    } catch (error) {
      button.disabled = false;
      toastProblem(error);
    }
  }
  return dialog;
}

function made(dialog, share) {
  const link = h("input", { class: "input", readonly: true, value: share.url, "aria-label": "Link", onfocus: () => link.select() });
  const until = share.expires_at ? `It works until ${date(share.expires_at)}.` : "It works until you revoke it.";
  fill(one(".dialog-body", dialog),
    h("div", { class: "share-link" }, link,
      h("button", { class: "button", type: "button", data: { kind: "main" }, onclick: () => copy(share.url, "Link") }, icon("copy"), "Copy")),
    h("p", { class: "soft" }, until));
  fill(one(".dialog-foot", dialog),
    h("button", { class: "button", type: "button", data: { kind: "danger" }, onclick: async () => { if (await revoke(share)) dialog.close(); } }, "Revoke"),
    h("a", { class: "button", href: share.url, target: "_blank", rel: "noopener" }, "Open the page"));
  link.focus();
  announce("The link is ready");
}

async function revoke(share) {
  try {
    await del(`/v1/shares/${share.id}`);
    toast("The link works no more");
    return true;
  } catch (error) {
    toastProblem(error);
    return false;
  }
}

/** All links that were made, newest first. */
export async function sharesDialog() {
  const list = h("ul", { class: "share-list", "aria-busy": "true" });
  openDialog({ title: "Shared links", body: [list], width: "620px" });
  try {
    const { data } = await get("/v1/shares?limit=100");
    list.removeAttribute("aria-busy");
    fill(list, data.map(row), !data.length && h("li", { class: "soft" }, "Nothing is shared. Choose pictures in the gallery, then Share."));
  } catch (error) {
    toastProblem(error);
  }
}

function row(share) {
  const over = share.revoked_at ? "Revoked" : share.expires_at && new Date(share.expires_at) < new Date() ? "Expired" : null;
  const until = over ?? (share.expires_at ? `until ${date(share.expires_at)}` : "without end");
  const item = h("li", { class: "share-row", data: { over: over ? "" : null } },
    h("div", null,
      h("b", null, share.title || "Pictures"),
      h("span", { class: "faint" }, `${plural(share.asset_ids.length, "picture")}, ${until}`)),
    !over && h("button", { class: "icon-button", type: "button", "aria-label": `Copy the link of ${share.title || "Pictures"}`, onclick: () => copy(share.url, "Link") }, icon("copy")),
    !over && h("button", {
      class: "button", type: "button", data: { kind: "danger" },
      onclick: async () => { if (await revoke(share)) item.replaceWith(row({ ...share, revoked_at: new Date().toISOString() })); },
    }, "Revoke"));
  return item;
}
