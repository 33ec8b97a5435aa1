// Pages by their paths: a click on a link within the studio changes the page without loading it anew.
// A page's module exports `title` and `mount(root, {params}) -> unmount | undefined`; it may export `update({params})`,
// which is called instead when only the query changed.

import { all, fill, h, one } from "studio/lib/dom.js";

const ROOT = "/studio";
let current = null;
let turn = 0;

export const pageOf = (path) => path.replace(/\/$/, "") === ROOT ? "create" : path.slice(ROOT.length + 1).split("/")[0];

/** Go to `path`, as if its link had been clicked. */
export function navigate(path, { replace = false } = {}) {
  const url = new URL(path, location.href);
  if (url.href !== location.href) history[replace ? "replaceState" : "pushState"]({}, "", url);
  return show();
}

export function startRouter() {
  addEventListener("popstate", () => show());
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const url = new URL(link.href);
    const ours = url.origin === location.origin && (url.pathname === ROOT || url.pathname.startsWith(`${ROOT}/`));
    if (!ours || link.target || link.hasAttribute("download") || url.hash) return;
    event.preventDefault();
    navigate(url);
  });
  return show(true);
}

async function show(first = false) {
  const mine = ++turn;
  const name = pageOf(location.pathname);
  const params = new URLSearchParams(location.search);
  if (current?.name === name) {
    current.page.update?.({ params });
    return;
  }
  let page;
  try {
    page = await import(`studio/pages/${name}.js`);
  } catch (error) {
    if (mine === turn) fill(one("#main"), lost(error));
    return;
  }
  if (mine !== turn) return;
  current?.unmount?.();
  document.title = `${page.title} · Ferrotype`;
  for (const link of all("[data-nav]")) link.toggleAttribute("aria-current", link.dataset.nav === name);
  for (const link of all("[data-nav][aria-current]")) link.setAttribute("aria-current", "page");
  const root = h("div", { class: `page page-${name}` });
  fill(one("#main"), root);
  document.body.dataset.page = name;
  current = { name, page, unmount: page.mount(root, { params }) };
  if (!first) {
    scrollTo(0, 0);
    one("#main").focus({ preventScroll: true });
  }
}

function lost(error) {
  console.error(error);
  return h("div", { class: "empty", role: "alert" },
    h("h2", null, "This page did not load"),
    h("p", null, "The server may just have been updated, or cannot be reached."),
    h("button", { class: "button", type: "button", onclick: () => location.reload() }, "Load again"));
}
