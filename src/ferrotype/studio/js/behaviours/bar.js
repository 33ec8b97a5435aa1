// The right end of the bar: credits, theme, shortcuts, sign out.

import { ApiProblem, get } from "studio/lib/api.js";
import { fill, h, one } from "studio/lib/dom.js";
import { on } from "studio/lib/events.js";
import { count, plural, short } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { effect, signal } from "studio/lib/store.js";
import { debounce } from "studio/lib/dom.js";
import { session, signOut } from "studio/behaviours/sign-in.js";
import { showShortcuts } from "studio/behaviours/shortcuts.js";
import { themeButton } from "studio/behaviours/theme.js";
import { toastProblem } from "studio/lib/toast.js";

/** {available, held, spent} of the account; null until it is known. */
export const balance = signal(null);

export const readBalance = debounce(async () => {
  try {
    balance.value = (await get("/v1/account")).credits;
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
  }
}, 150);

export function fillBar() {
  const credits = h("p", { class: "allowance tabular", hidden: true });
  const out = h("button", { class: "icon-button", type: "button", "aria-label": "Sign out", title: "Sign out", hidden: true,
    onclick: () => signOut().catch(toastProblem) }, icon("out"));
  fill(one("[data-bar]"), credits,
    h("button", { class: "icon-button bar-keys", type: "button", "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts (?)", onclick: showShortcuts }, icon("keyboard")),
    themeButton(), out);
  effect(() => { out.hidden = !(session.value?.needs_key && session.value.signed_in); });
  effect(() => {
    const now = balance.value;
    credits.hidden = !now;
    if (!now) return;
    fill(credits, h("span", { class: "exact" }, h("strong", null, count(now.available)), ` ${now.available === 1 ? "credit" : "credits"}`),
      h("strong", { class: "short" }, short(now.available)));
    credits.title = `${plural(now.available, "credit")} available, ${count(now.held)} held for what is under way, ${count(now.spent)} spent`;
    credits.toggleAttribute("data-low", now.available < 10);
  });
  for (const type of ["snapshot", "queued", "settled", "succeeded", "failed", "canceled"]) on(type, readBalance);
}
