// Messages that come and go, and words for screen readers.

import { h, one } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";

/** `toast("Deleted", {action: {label: "Undo", run}})`. Errors stay until they are closed. Returns what closes it. */
export function toast(text, { kind = "info", action = null, timeout = kind === "error" ? 0 : 6000 } = {}) {
  const close = () => { clearTimeout(timer); box.remove(); };
  const box = h("div", { class: "toast", role: kind === "error" ? "alert" : "status", data: { kind } },
    h("span", null, text),
    action && h("button", { class: "button", type: "button", onclick: () => { close(); action.run(); } }, action.label),
    h("button", { class: "icon-button", type: "button", "aria-label": "Close the message", onclick: close }, icon("close")));
  let timer = timeout ? setTimeout(close, timeout) : 0;
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", () => { if (timeout) timer = setTimeout(close, timeout); });
  place().append(box);
  return close;
}

/** Where it can be seen: an open dialog lies over everything else. */
function place() {
  const region = one("[data-toasts]");
  const open = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  if (region.parentElement !== open) open.append(region);
  open.addEventListener("close", () => document.body.append(region), { once: true });
  return region;
}

/** What went wrong, as the server says it. */
export function toastProblem(error) {
  if (error?.name === "AbortError") return;
  toast(error.message || "Something went wrong.", { kind: "error" });
}

let later = 0;
const waiting = [];

/** Said politely by screen readers; several at once are said together. */
export function announce(text) {
  if (!waiting.includes(text)) waiting.push(text);
  clearTimeout(later);
  later = setTimeout(() => { one("[data-announce]").textContent = waiting.splice(0).join(". "); }, 250);
}
