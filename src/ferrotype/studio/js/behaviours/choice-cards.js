// Cards that are radio buttons: styles with a picture, shapes with their use.

import { fill, h, uid } from "studio/lib/dom.js";
import { effect } from "studio/lib/store.js";
import { field } from "studio/behaviours/field.js";

function cards(kind, name, entries, chosen, onpick) {
  return entries.map(({ value, label, picture, words }) => h("label", { class: `card ${kind}` },
    h("input", { type: "radio", name, value: value ?? "", checked: value === chosen, class: "card-input", onchange: () => onpick(value) }),
    picture, h("span", { class: "card-label" }, label), words && h("span", { class: "card-words" }, words)));
}

function sample(name) {
  let url;
  try { url = import.meta.resolve(`studio/img/style-${name}.webp`); } catch { url = null; }
  return url?.startsWith("http")
    ? h("img", { class: "card-picture", src: url, alt: "", width: 96, height: 96, loading: "lazy", decoding: "async" })
    : h("span", { class: "card-picture card-letter", "aria-hidden": "true" }, name.slice(0, 1).toUpperCase());
}

export function styleField(form) {
  const group = uid("style");
  const list = h("div", { class: "cards cards-style" });
  const box = field(form, "style", "Style", list, { group: true });
  const entries = [{ value: null, label: "None", picture: sample("none") },
    ...form.known.styles.map((each) => ({ value: each.name, label: each.title || each.name, picture: sample(each.name) }))];
  fill(list, cards("card-style", group, entries, form.draft.peek().style, (style) => form.change({ style })));
  effect(() => {
    const { style } = form.draft.value;
    for (const input of list.querySelectorAll("input")) input.checked = input.value === (style ?? "");
  });
  effect(() => { box.hidden = !form.shows.value.styles; });
  return box;
}

/** The outline of a shape, drawn into a square of 34 px. */
export function shape(ratio) {
  const side = 34, w = ratio >= 1 ? side : side * ratio, height = ratio >= 1 ? side / ratio : side;
  return h("span", { class: "shape", "aria-hidden": "true" }, h("span", { style: { width: `${w}px`, height: `${height}px` } }));
}

export function ratioField(form) {
  const group = uid("ratio");
  const list = h("div", { class: "cards cards-ratio" });
  const box = field(form, "aspect_ratio", "Shape", list, { group: true });
  effect(() => {
    const { ratios, followsInput } = form.shows.value;
    const entries = ratios.map((each) => ({ value: each.name, label: each.name, picture: shape(each.width / each.height), words: each.use }));
    if (followsInput) entries.unshift({ value: null, label: "As the input", picture: shape(1), words: "Keeps its shape" });
    fill(list, cards("card-ratio", group, entries, undefined, (ratio) => form.change({ ratio, width: null, height: null })));
    box.hidden = !entries.length;
    choose();
  });
  function choose() {
    const { ratio, width } = form.draft.value;
    const { ratios, followsInput } = form.shows.peek();
    const known = ratios.some((each) => each.name === ratio);
    const chosen = width ? undefined : known ? ratio : followsInput ? "" : ratios[0]?.name;
    for (const input of list.querySelectorAll("input")) input.checked = input.value === chosen;
  }
  effect(choose);
  return box;
}
