// How many, and the seed.

import { fill, h } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";
import { effect } from "studio/lib/store.js";
import { field } from "studio/behaviours/field.js";

const MOST = 10;
export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 2 ** 31;

/** A number with buttons on both sides. */
export function stepper({ min, max, label, id = null, onchange }) {
  const input = h("input", { class: "input stepper-input tabular", id, type: "number", inputmode: "numeric", min, max, step: 1,
    onchange: () => onchange(clamp(Math.round(Number(input.value) || min))) });
  const clamp = (value) => Math.min(max, Math.max(min, value));
  const step = (by) => h("button", { class: "icon-button", type: "button", "aria-label": by > 0 ? `More ${label}` : `Fewer ${label}`,
    onclick: () => onchange(clamp(Number(input.value) + by)) }, icon(by > 0 ? "plus" : "minus"));
  const box = h("div", { class: "stepper" }, step(-1), input, step(1));
  return { box, input, show(value) {
    input.value = value;
    box.firstChild.disabled = value <= min;
    box.lastChild.disabled = value >= max;
  } };
}

export function countField(form) {
  const { box, input, show } = stepper({ min: 1, max: MOST, label: "pictures", id: "count", onchange: (count) => form.change({ count }) });
  const outer = field(form, "num_images", "Pictures", input);
  outer.insertBefore(box, outer.querySelector(".problem"));
  box.insertBefore(input, box.lastChild);
  effect(() => show(form.draft.value.count));
  return outer;
}

export function seedField(form) {
  const input = h("input", { class: "input tabular", type: "text", inputmode: "numeric", pattern: "[0-9]*", maxlength: 16, placeholder: "Random", autocomplete: "off",
    oninput: () => {
      const digits = input.value.replace(/\D/g, "");
      form.change({ seed: digits ? Number(digits) : null });
    } });
  const dice = h("button", { class: "icon-button", type: "button", "aria-label": "Roll a seed", title: "Roll a seed",
    onclick: () => form.change({ seed: randomSeed() }) }, icon("dice"));
  const lock = h("button", { class: "icon-button", type: "button", "aria-label": "Keep this seed for the next order", onclick: () =>
    form.change({ seed: form.draft.peek().seed === null ? form.lastSeed ?? randomSeed() : null }) });
  const box = field(form, "seed", "Seed", input);
  const row = h("div", { class: "seed" });
  box.insertBefore(row, input);
  row.append(input, dice, lock);
  effect(() => {
    const { seed } = form.draft.value;
    const text = seed === null ? "" : String(seed);
    if (input.value !== text) input.value = text;
    fill(lock, icon(seed === null ? "unlock" : "lock"));
    lock.setAttribute("aria-pressed", String(seed !== null));
    lock.title = seed === null ? "Random each time. Lock it to get the same picture again" : "The same seed each time. Unlock it for random ones";
  });
  effect(() => { box.hidden = !form.shows.value.seed; });
  return box;
}
