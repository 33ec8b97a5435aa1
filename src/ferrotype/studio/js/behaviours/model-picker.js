// Operation and model. Models that cannot be used here are shown with the reason.

import { fill, h } from "studio/lib/dom.js";
import { openDialog } from "studio/lib/dialogs.js";
import { credits, usd } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { serving } from "studio/lib/catalogue.js";
import { effect } from "studio/lib/store.js";
import { field } from "studio/behaviours/field.js";

export function operationField(form) {
  const able = (operation) => operation.models.length > 0;
  const select = h("select", { class: "select", onchange: () => form.change({ operation: select.value, params: {} }) },
    form.known.operations.map((each) => h("option", { value: each.name, disabled: !able(each) },
      able(each) ? each.title : `${each.title} (no model is set up)`)));
  const box = field(form, "operation", "What to do", select);
  effect(() => {
    const operation = form.operation.value;
    select.value = operation.name;
    select.title = operation.description;
  });
  return box;
}

const price = (model) => `${credits(model.price.credits)}${model.price.usd ? ` · ${usd(model.price.usd)}` : ""}`;

export function modelField(form) {
  const name = h("span", { class: "model-name" }), more = h("span", { class: "faint" });
  const button = h("button", { class: "model-button", type: "button", "aria-haspopup": "dialog", onclick: pick },
    h("span", { class: "model-words" }, name, more), icon("down"));
  const box = field(form, "model", "Model", button);
  effect(() => {
    const model = form.model.value;
    name.textContent = model ? model.title || model.id : "No model can do that here";
    more.textContent = model ? `${model.id} · ${price(model)} a picture` : "Set up a provider first";
  });

  function pick() {
    const able = serving(form.known, form.operation.peek().name);
    const list = h("div", { class: "models", role: "radiogroup", "aria-label": "Model" },
      [...able].sort((a, b) => b.available - a.available).map((model) => {
        const chosen = form.model.peek()?.id === model.id;
        return h("label", { class: "model", data: model.available ? {} : { away: "" } },
          h("input", { type: "radio", name: "model", value: model.id, checked: chosen, disabled: !model.available, autofocus: chosen,
            onchange: () => form.change({ model: model.id, params: {} }) }),
          h("span", { class: "model-words" },
            h("span", { class: "model-name" }, model.title || model.id, chosen && h("span", { class: "sr-only" }, " (chosen)")),
            h("span", { class: "faint" }, `${model.id} · ${price(model)}`),
            h("span", { class: "soft" }, model.description),
            !model.available && h("span", { class: "model-away" }, icon("lock"), reason(model))));
      }));
    openDialog({ title: "Choose a model", width: "680px", kind: "dialog-models", body: [list],
      foot: [h("button", { class: "button", type: "button", data: { kind: "main" }, onclick: (event) => event.target.closest("dialog").close() }, "Done")],
      onclose: () => button.focus() });
  }
  return box;
}

function reason(model) {
  const names = (model.providers ?? []).join(" or ");
  return names ? `Not set up on this server: it needs the provider ${names}.` : "Not set up on this server.";
}

/** A name for a model in few words. */
export const shortName = (known, id) => known?.models.find((each) => each.id === id)?.title || id;

export function fillSelect(select, entries, value) {
  fill(select, entries.map(([key, words]) => h("option", { value: key }, words)));
  select.value = value;
}
