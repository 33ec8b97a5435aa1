// What can be ordered here: models, operations, styles, shapes. Asked for once.

import { get } from "studio/lib/api.js";

let asked = null;

/** {models, operations, styles, ratios}. */
export function catalogue() {
  asked ??= Promise.all([get("/v1/models"), get("/v1/operations"), get("/v1/styles")])
    .then(([models, operations, styles]) => ({
      models: models.data, operations: operations.data, styles: styles.data, ratios: styles.aspect_ratios,
    }))
    .catch((error) => { asked = null; throw error; });
  return asked;
}

export const serving = (known, operation) => known.models.filter((model) => model.operations.includes(operation));

/** Whether any model here can be given a picture. */
export const takesInputs = (known) => Boolean(known?.models.some((model) => model.available && model.capabilities.max_images > 0));

/** The model that an order goes to: the one that was chosen if it can do that, else the server's default. */
export function modelFor(known, operation, wanted) {
  const able = serving(known, operation);
  return able.find((model) => model.id === wanted && model.available)
    ?? able.find((model) => model.default_for.includes(operation))
    ?? able.find((model) => model.available) ?? null;
}

/** What the form may show for a model and an operation. */
export function features(known, operation, model) {
  const can = model?.capabilities;
  if (!can || !operation) return null;
  const most = Math.min(operation.max_images, can.max_images);
  return {
    prompt: can.prompt === "none" || operation.prompt === "none" ? "none"
      : can.prompt === "required" || operation.prompt === "required" ? "required" : "optional",
    negative: can.negative_prompt,
    styles: can.styles && operation.prompt !== "none" && can.prompt !== "none",
    seed: can.seed,
    images: { min: Math.max(operation.min_images, can.min_images), max: most },
    mask: can.needs_mask || operation.mask === "required" ? "required" : can.mask && operation.mask !== "none" ? "optional" : "none",
    ratios: can.size === "derived" ? [] : known.ratios.filter((each) => !can.aspect_ratios || can.aspect_ratios.includes(each.name)),
    followsInput: can.size === "input" && most > 0,
    sizes: can.sizes,
    freeSize: can.size !== "derived" && !can.sizes,
    params: { ...operation.params, ...can.params },
    defaults: model.defaults,
    formats: can.formats,
    maxPrompt: can.max_prompt,
    can,
  };
}

export const ratioOf = (known, name) => {
  const found = known?.ratios.find((each) => each.name === name);
  return found ? found.width / found.height : null;
};
