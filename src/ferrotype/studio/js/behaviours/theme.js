// Dark, light, or as the system is. A cookie, so that the server sends the page in the right theme at once.

import { fill, h } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";
import { announce } from "studio/lib/toast.js";

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const ICONS = { auto: "auto", light: "sun", dark: "moon" };
const WORDS = { auto: "as the system", light: "light", dark: "dark" };

export const theme = () => document.documentElement.dataset.theme ?? "auto";

export function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  const age = name === "auto" ? 0 : 31_536_000;
  document.cookie = `ferrotype_theme=${name}; path=/studio; max-age=${age}; samesite=strict`;
}

export function themeButton() {
  const show = () => {
    fill(button, icon(ICONS[theme()]));
    button.setAttribute("aria-label", `Theme: ${WORDS[theme()]}. Change it`);
    button.title = `Theme: ${WORDS[theme()]}`;
  };
  const button = h("button", { class: "icon-button", type: "button", onclick: () => {
    setTheme(NEXT[theme()]);
    show();
    announce(`Theme: ${WORDS[theme()]}`);
  } });
  show();
  return button;
}
