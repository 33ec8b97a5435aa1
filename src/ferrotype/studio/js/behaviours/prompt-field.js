// The prompt: grows with its text, remembers what was ordered, counts what `{red|blue}` would make.

import { post } from "studio/lib/api.js";
import { debounce, fill, h } from "studio/lib/dom.js";
import { openDialog } from "studio/lib/dialogs.js";
import { plural } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { effect, kept } from "studio/lib/store.js";
import { field } from "studio/behaviours/field.js";

const KEPT = 50;
const memory = kept("localStorage", "ferrotype.prompts");
const history = () => memory.read() ?? [];

export function rememberPrompt(text) {
  if (text) memory.write([text, ...history().filter((each) => each !== text)].slice(0, KEPT));
}

/** Keep a textarea as high as its text. */
export function grow(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.5)}px`;
}

export function promptField(form, { onexpand }) {
  let place = -1, typed = "";
  const area = h("textarea", { class: "textarea prompt", rows: 3, id: "prompt", spellcheck: "true", enterkeyhint: "enter",
    oninput: () => { place = -1; form.change({ prompt: area.value }); },
    onkeydown: (event) => {
      const up = event.key === "ArrowUp", whole = area.selectionStart === area.selectionEnd;
      if (!(up || event.key === "ArrowDown") || event.altKey || event.shiftKey || event.ctrlKey || event.metaKey || !whole) return;
      // Up in the first line goes back in the history, down in the last line comes forward again.
      if (up ? area.value.slice(0, area.selectionStart).includes("\n") || (place < 0 && area.selectionStart > 0) : place < 0) return;
      const prompts = history(), next = place + (up ? 1 : -1);
      if (next >= prompts.length || next < -1) return;
      event.preventDefault();
      if (place < 0) typed = area.value;
      place = next;
      form.change({ prompt: place < 0 ? typed : prompts[place] });
      area.setSelectionRange(0, 0);
    } });
  const button = h("button", { class: "icon-button", type: "button", "aria-label": "Earlier prompts", title: "Earlier prompts", onclick: showHistory }, icon("history"));
  const groups = h("div", { class: "expands", role: "status" });
  const box = field(form, "prompt", "Prompt", area, { after: button });
  box.append(groups);

  function showHistory() {
    const prompts = history();
    const dialog = openDialog({ title: "Earlier prompts", width: "640px", body: [prompts.length
      ? h("ul", { class: "history" }, prompts.map((text) => h("li", null, h("button", { type: "button", onclick: () => {
        dialog.close();
        form.change({ prompt: text });
        area.focus();
      } }, text))))
      : h("p", { class: "soft" }, "Prompts that you order are listed here, in this browser only.")] });
  }

  const count = debounce(async (text) => {
    try {
      const { count: many } = await post("/v1/prompts/expand", { prompt: text, limit: 1 });
      if (form.draft.peek().prompt !== text) return;
      fill(groups, many > 1 && [h("span", null, `These words make ${plural(many, "different prompt")}.`),
        h("button", { class: "button", type: "button", data: { kind: "quiet" }, onclick: () => onexpand(text) }, "Order all of them")]);
    } catch { fill(groups); }
  }, 250);

  effect(() => {
    const { prompt } = form.draft.value;
    if (area.value !== prompt) area.value = prompt;
    requestAnimationFrame(() => grow(area));
    if (/\{[^{}]*(\||\.\.)[^{}]*\}/.test(prompt)) count(prompt);
    else { count.cancel(); fill(groups); }
  });
  effect(() => {
    const shows = form.shows.value;
    box.hidden = shows.prompt === "none";
    area.required = shows.prompt === "required";
    area.placeholder = shows.prompt === "optional" ? "Words that help, if you like" : "A lighthouse at dusk, waves breaking, warm light in the windows";
  });
  return box;
}

export function negativeField(form) {
  const area = h("textarea", { class: "textarea single", rows: 1, placeholder: "What should not be in it", oninput: () => form.change({ negative: area.value }) });
  const box = field(form, "negative_prompt", "Leave out", area);
  effect(() => {
    const { negative } = form.draft.value;
    if (area.value !== negative) area.value = negative;
    requestAnimationFrame(() => grow(area));
  });
  effect(() => { box.hidden = !form.shows.value.negative; });
  return box;
}
