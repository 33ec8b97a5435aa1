// What stands in the form, kept through a reload, and the order that it makes.

import { catalogue, features, modelFor } from "studio/lib/catalogue.js";
import { effect, kept, signal } from "studio/lib/store.js";

const memory = kept("sessionStorage", "ferrotype.draft");

export const EMPTY = { operation: "generate", model: null, prompt: "", negative: "", style: null, ratio: null, width: null,
  height: null, count: 1, seed: null, images: [], mask: null, params: {}, format: null };

/** The form's state: `draft`, and what follows from it (`known`, `operation`, `model`, `shows`). */
export async function openDraft() {
  const known = await catalogue();
  const draft = signal({ ...EMPTY, ...memory.read() });
  const form = {
    known, draft,
    operation: signal(null), model: signal(null), shows: signal(null),
    /** {field: text} of what the server refused. */
    problems: signal({}),
    change(patch) {
      draft.value = { ...draft.peek(), ...patch };
      const open = { ...form.problems.peek() };
      for (const name of Object.keys(patch)) for (const field of FIELDS[name] ?? [name]) delete open[field];
      form.problems.value = open;
    },
  };
  effect(() => {
    const { operation, model } = draft.value;
    const found = known.operations.find((each) => each.name === operation) ?? known.operations[0];
    const chosen = modelFor(known, found.name, model);
    const key = `${found.name} ${chosen?.id}`;
    // First what the form shows: who looks at the model makes an order of it.
    if (form.shows.peek()?.key !== key) form.shows.value = { key, ...features(known, found, chosen) };
    form.operation.value = found;
    form.model.value = chosen;
  });
  effect(() => memory.write(draft.value));
  return form;
}

/** Draft fields and the order's fields that they fill. */
const FIELDS = { negative: ["negative_prompt"], ratio: ["aspect_ratio"], count: ["num_images"], images: ["images", "image"] };

/** `POST /v1/generations` of what stands in the form; only what the model takes goes along. */
export function orderOf(form) {
  const draft = form.draft.peek(), shows = form.shows.peek(), model = form.model.peek();
  const order = { operation: draft.operation, model: model?.id, num_images: draft.count };
  if (shows.prompt !== "none") order.prompt = draft.prompt.trim();
  if (shows.negative && draft.negative.trim()) order.negative_prompt = draft.negative.trim();
  if (shows.styles && draft.style) order.style = draft.style;
  if (draft.width && draft.height && (shows.freeSize || shows.sizes)) Object.assign(order, { width: draft.width, height: draft.height });
  else if (shows.ratios.some((each) => each.name === draft.ratio)) order.aspect_ratio = draft.ratio;
  if (shows.seed && draft.seed !== null) order.seed = draft.seed;
  const images = draft.images.filter((each) => each.id).slice(0, shows.images.max).map((each) => each.id);
  if (images.length) order.images = images;
  if (shows.mask !== "none" && draft.mask?.id) order.mask = draft.mask.id;
  const params = Object.fromEntries(Object.entries(draft.params).filter(([name]) => name in shows.params));
  if (Object.keys(params).length) order.params = params;
  if (shows.formats.includes(draft.format)) order.format = draft.format;
  // Who presses the button again wants another picture, unless the seed says otherwise.
  if (order.seed === undefined) order.reuse = "never";
  return order;
}

/** Fill the form with what a generation was ordered with. */
export function refill(form, generation) {
  const input = generation.input;
  const named = form.known.ratios.some((each) => each.name === input.aspect_ratio);
  form.change({
    ...EMPTY,
    operation: generation.operation,
    model: generation.model,
    prompt: input.prompt ?? "",
    negative: input.negative_prompt ?? "",
    style: input.style ?? null,
    ratio: named ? input.aspect_ratio : null,
    width: named ? null : input.width ?? null,
    height: named ? null : input.height ?? null,
    count: input.num_images ?? 1,
    seed: input.seed ?? null,
    images: (input.images ?? []).map((id) => ({ id, name: "Input picture" })),
    mask: input.mask ? { id: input.mask, name: "Mask" } : null,
    params: { ...input.params },
    format: input.format ?? null,
  });
}
