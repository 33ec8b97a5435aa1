// The model's own parameters, the exact size and the format: drawn from its capabilities.

import { fill, h } from "studio/lib/dom.js";
import { effect } from "studio/lib/store.js";
import { field } from "studio/behaviours/field.js";
import { fillSelect } from "studio/behaviours/model-picker.js";

const named = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("_", " ");

export function advancedFields(form) {
  const box = h("details", { class: "advanced", id: "advanced" }, h("summary", null, "Advanced"));
  const inner = h("div", { class: "advanced-body" });
  box.append(inner);
  effect(() => {
    const shows = form.shows.value;
    const fields = Object.entries(shows.params).map(([name, spec]) => paramField(form, name, spec, shows.defaults[name]));
    if (shows.freeSize) fields.push(sizeField(form, shows.can));
    if (shows.sizes) fields.push(sizesField(form, shows.sizes));
    if (shows.formats.length) fields.push(formatField(form, shows.formats));
    fill(inner, fields);
    box.hidden = !fields.length;
  });
  return box;
}

function change(form, name, value) {
  const params = { ...form.draft.peek().params };
  if (value === null || value === "" || Number.isNaN(value)) delete params[name];
  else params[name] = value;
  form.change({ params });
  const { [`params.${name}`]: gone, ...rest } = form.problems.peek();
  if (gone) form.problems.value = rest;
}

function paramField(form, name, spec, preset) {
  const value = () => form.draft.peek().params[name] ?? preset;
  const options = { hint: spec.description };
  if (spec.type === "boolean") {
    const input = h("input", { type: "checkbox", role: "switch", checked: Boolean(value()), onchange: () => change(form, name, input.checked) });
    const outer = h("div", { class: "field", data: { field: `params.${name}` } },
      h("label", { class: "switch" }, h("span", null, named(name), spec.description && h("span", { class: "faint block" }, spec.description)), input));
    return outer;
  }
  if (spec.choices) {
    const select = h("select", { class: "select", onchange: () => {
      const found = spec.choices.find((each) => String(each) === select.value);
      change(form, name, found ?? null);
    } });
    fillSelect(select, [...(preset === undefined ? [["", "The model's own"]] : []), ...spec.choices.map((each) => [String(each), String(each)])], String(value() ?? ""));
    return field(form, `params.${name}`, named(name), select, options);
  }
  if (spec.type === "string") {
    const input = h("input", { class: "input", type: "text", maxlength: spec.max_length, value: value() ?? "", oninput: () => change(form, name, input.value) });
    return field(form, `params.${name}`, named(name), input, options);
  }
  return numberField(form, name, spec, value, options);
}

function numberField(form, name, spec, value, options) {
  const whole = spec.type === "integer", bounded = spec.minimum !== null && spec.maximum !== null;
  const step = whole ? 1 : bounded && spec.maximum - spec.minimum <= 2 ? 0.01 : 0.1;
  const range = bounded && spec.maximum - spec.minimum <= 1000;
  const number = h("input", { class: "input number tabular", type: "number", step: whole ? 1 : "any", min: spec.minimum, max: spec.maximum, value: value() ?? "",
    "aria-label": range ? `${named(name)}, as a number` : null,
    oninput: () => { if (slider) slider.value = number.value; change(form, name, number.value === "" ? null : Number(number.value)); } });
  const slider = range && h("input", { class: "range", type: "range", min: spec.minimum, max: spec.maximum, step, value: value() ?? (spec.minimum + spec.maximum) / 2,
    oninput: () => { number.value = slider.value; change(form, name, Number(slider.value)); } });
  const limits = bounded ? `${spec.minimum} to ${spec.maximum}` : "";
  const outer = field(form, `params.${name}`, named(name), slider || number, { hint: [options.hint, limits].filter(Boolean).join(" ") });
  if (slider) {
    const row = h("div", { class: "range-row" });
    outer.insertBefore(row, slider);
    row.append(slider, number);
  }
  return outer;
}

function sizeField(form, can) {
  const side = (name, words) => {
    const input = h("input", { class: "input tabular", type: "number", inputmode: "numeric", min: can.min_side, max: can.max_side, step: can.multiple, placeholder: words, "aria-label": words,
      oninput: () => form.change({ [name]: input.value === "" ? null : Number(input.value) }) });
    effect(() => { const now = form.draft.value[name]; if (Number(input.value || 0) !== (now ?? 0)) input.value = now ?? ""; });
    return input;
  };
  const row = h("div", { class: "size" }, side("width", "Width"), h("span", { "aria-hidden": "true" }, "×"), side("height", "Height"));
  return field(form, "size", "Exact size in pixels", row, { group: true, hint: `Instead of a shape: ${can.min_side} to ${can.max_side} a side${can.multiple > 1 ? `, multiples of ${can.multiple}` : ""}.` });
}

function sizesField(form, sizes) {
  const select = h("select", { class: "select", onchange: () => {
    const [width, height] = select.value.split("x").map(Number);
    form.change({ width: width || null, height: height || null });
  } });
  const { width, height } = form.draft.peek();
  fillSelect(select, [["", "As the shape"], ...sizes.map(([w, h2]) => [`${w}x${h2}`, `${w} × ${h2}`])], width ? `${width}x${height}` : "");
  return field(form, "size", "Exact size in pixels", select);
}

function formatField(form, formats) {
  const select = h("select", { class: "select", onchange: () => form.change({ format: select.value || null }) });
  fillSelect(select, [["", "The model's own"], ...formats.map((each) => [each, each.toUpperCase()])], form.draft.peek().format ?? "");
  return field(form, "format", "File format", select);
}
