// Keys: a page says which it knows, `?` shows all that work now.

import { fill, h } from "studio/lib/dom.js";
import { openDialog } from "studio/lib/dialogs.js";
import { navigate } from "studio/lib/router.js";

const shortcuts = new Map();

/** `shortcut("b", "Order many at once", run, {group: "Create"})`; returns what takes it away. Names: "b", "Escape",
 *  "mod+Enter" (Ctrl or ⌘, also while typing), "g c" (one after the other). */
export function shortcut(keys, words, run, { group = "Everywhere", shown = true } = {}) {
  const entry = { keys, words, run, group, shown };
  shortcuts.set(keys, entry);
  return () => { if (shortcuts.get(keys) === entry) shortcuts.delete(keys); };
}

const typing = (target) => target.closest?.("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable]");
let before = "";
let timer = 0;

export function startShortcuts() {
  shortcut("?", "Show these shortcuts", showShortcuts);
  shortcut("g c", "Go to Create", () => navigate("/studio"));
  shortcut("g g", "Go to the gallery", () => navigate("/studio/gallery"));
  shortcut("g s", "Go to the status page", () => navigate("/studio/status"));
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    const mod = event.ctrlKey || event.metaKey;
    if (!mod && (typing(event.target) || document.querySelector("dialog[open]"))) return;
    const key = mod ? `mod+${event.key}` : event.key;
    const found = shortcuts.get(before ? `${before} ${key}` : key) ?? shortcuts.get(key);
    clearTimeout(timer);
    before = !found && [...shortcuts.keys()].some((each) => each.startsWith(`${key} `)) ? key : "";
    if (before) timer = setTimeout(() => { before = ""; }, 1200);
    if (!found) return;
    event.preventDefault();
    found.run(event);
  });
}

const shown = (keys) => keys.replace("mod", /Mac|iP/.test(navigator.platform) ? "⌘" : "Ctrl").split(/[+ ]/)
  .map((key) => ({ ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" })[key] ?? (key.length === 1 ? key.toUpperCase() : key));

export function showShortcuts() {
  if (document.querySelector(".dialog-shortcuts")) return;
  const groups = Map.groupBy ? Map.groupBy([...shortcuts.values()].filter((each) => each.shown), (each) => each.group) : grouped();
  const list = h("div", { class: "shortcut-groups" });
  fill(list, [...groups].map(([group, entries]) => h("section", null,
    h("h3", null, group),
    h("dl", null, entries.map(({ keys, words }) => h("div", null,
      h("dt", null, words), h("dd", null, shown(keys).map((key) => h("kbd", null, key)))))))));
  openDialog({ title: "Keyboard shortcuts", kind: "dialog-shortcuts", width: "640px", body: [list] });
}

function grouped() {
  const groups = new Map();
  for (const each of shortcuts.values()) if (each.shown) groups.set(each.group, [...(groups.get(each.group) ?? []), each]);
  return groups;
}
