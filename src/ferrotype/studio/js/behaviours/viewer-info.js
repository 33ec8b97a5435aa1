// All that is known of a picture: what it was made of, what it cost, how long it took, who was asked for it.

import { get } from "studio/lib/api.js";
import { fill, h } from "studio/lib/dom.js";
import { bytes, count, credits, date, plural, seconds, time, usd } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { copy } from "studio/behaviours/share.js";

// What the order says that has a line of its own, or nothing that people care for.
const TOLD = new Set(["prompt", "negative_prompt", "model", "operation", "style", "aspect_ratio", "width", "height", "seed",
  "num_images", "params", "inputs", "image", "images", "mask", "mode", "metadata", "tags", "visibility", "reuse"]);
const STATUS = {
  submitting: "being sent", submitted: "running", succeeded: "succeeded", failed: "failed", canceled: "canceled", unknown: "outcome unknown",
};

/** Fill the panel for an asset; what takes a look at the server follows. */
export function describe(panel, asset, { signal }) {
  const made = asset.generation;
  const facts = h("dl", { class: "facts" });
  const more = h("div", { class: "viewer-more" });
  fill(panel,
    h("h2", { class: "sr-only" }, "About this picture"),
    words("Prompt", made?.prompt ?? ""),
    made?.negative_prompt ? words("Not wanted", made.negative_prompt) : null,
    facts, more);
  show(facts, asset, made ?? {});
  if (!asset.generation_id) return;
  Promise.all([
    get(`/v1/generations/${asset.generation_id}`, { signal }),
    get(`/v1/generations/${asset.generation_id}/attempts`, { signal }),
  ]).then(([generation, { data }]) => {
    if (signal.aborted) return;
    const { input } = generation;
    if (!made) panel.children[1].replaceWith(words("Prompt", input.prompt ?? ""));
    show(facts, asset, { ...input, model: generation.model, operation: generation.operation, params: input.params });
    fill(more, cost(generation, asset), attempts(data, generation), inputs(input), credit(asset));
  }, (error) => {
    if (error.name !== "AbortError") fill(more, h("p", { class: "problem" }, error.message));
  });
}

function words(name, text) {
  if (!text) return h("p", { class: "viewer-words" });
  return h("section", { class: "viewer-words" },
    h("div", { class: "viewer-words-head" },
      h("h3", null, name),
      h("button", { class: "icon-button", type: "button", "aria-label": `Copy the ${name.toLowerCase()}`, title: `Copy the ${name.toLowerCase()}`, onclick: () => copy(text, name) }, icon("copy"))),
    h("p", { class: "viewer-text" }, text));
}

function show(facts, asset, order) {
  const params = Object.entries(order.params ?? {});
  const rest = Object.entries(order).filter(([name, value]) => !TOLD.has(name) && isFact(name, value));
  const size = asset.width ? `${asset.width} × ${asset.height}` : null;
  const rows = [
    ["Model", order.model],
    ["Operation", order.operation],
    ["Style", order.style],
    ["Ratio", order.aspect_ratio],
    ["Size", size],
    ["Seed", asset.seed],
    ["Number", order.num_images > 1 && asset.index !== null ? `${asset.index + 1} of ${order.num_images}` : null],
    ...params,
    ...rest,
    ["File", [asset.content_type?.replace("image/", "").toUpperCase(), asset.bytes && bytes(asset.bytes)].filter(Boolean).join(", ")],
    ["Made", `${date(asset.created_at)}, ${time(asset.created_at)}`],
    ["Who may load it", asset.visibility],
    ["Kept until", asset.expires_at && date(asset.expires_at)],
  ];
  fill(facts, rows.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false).map(fact));
}

/** The gallery's short form of a generation has facts of its own beside those of the order. */
function isFact(name, value) {
  return !["id", "batch_id", "created_at", "format"].includes(name) && value !== null && typeof value !== "object";
}

function fact([name, value]) {
  const said = typeof value === "object" ? JSON.stringify(value) : typeof value === "number" && name !== "Seed" ? count(value) : String(value);
  return h("div", null, h("dt", null, name.replaceAll("_", " ")), h("dd", { class: "tabular" }, said));
}

function cost(generation, asset) {
  const standing = generation.output.filter((each) => each.state !== "failed").length || 1;
  const { metrics } = generation;
  const rows = [
    ["Cost", generation.reused_from ? "nothing: it was there already" : [credits(generation.cost.credits / standing), usd(generation.cost.usd / standing)].filter(Boolean).join(", ")],
    ["Waited", seconds(metrics.queued_s)],
    ["At the provider", seconds(metrics.provider_s)],
    ["From order to end", seconds(metrics.total_s)],
  ];
  if (asset.state === "failed") rows.unshift(["State", "never arrived"]);
  return h("section", null, h("h3", null, "Cost and time"), h("dl", { class: "facts" }, rows.filter(([, value]) => value).map(fact)));
}

/** The calls to providers; where the first did not do, who did instead. */
function attempts(calls, generation) {
  if (!calls.length && !generation.reused_from) return null;
  const good = calls.find((each) => each.status === "succeeded");
  const bad = calls.filter((each) => each.status === "failed" || each.status === "unknown");
  const told = bad.length && good ? h("p", { class: "fallback" }, icon("retry"),
    `${plural(bad.length, "call")} did not work; ${good.provider} made it.`) : null;
  return h("section", null, h("h3", null, "Attempts"),
    generation.reused_from && h("p", { class: "soft" }, "These pictures were made for an identical order before."),
    told,
    h("ol", { class: "attempts" }, calls.map((call) => h("li", { data: { status: call.status } },
      h("div", { class: "attempt-head" }, h("b", null, call.provider), h("span", { class: "chip" }, STATUS[call.status] ?? call.status)),
      h("div", { class: "faint" }, [call.target, seconds(call.seconds), usd(call.usd)].filter(Boolean).join(" · ")),
      call.error ? h("p", { class: "attempt-error" }, call.error.detail || call.error.title || call.error.code) : null))));
}

function inputs(input) {
  const used = input.inputs ?? [];
  if (!used.length) return null;
  return h("section", null, h("h3", null, "Made from"),
    h("ul", { class: "viewer-inputs" }, used.map((each) => h("li", null,
      h("a", { href: `/studio/gallery?asset=${each.asset_id}` },
        h("img", { src: `/images/${each.asset_id}?w=160&format=auto`, alt: each.role === "mask" ? "The mask" : "An input picture", loading: "lazy" }))))));
}

function credit(asset) {
  const { credit } = asset;
  if (!credit) return null;
  return h("p", { class: "faint" }, ["Artwork:", credit.artwork, "by", credit.author, `(${credit.license})`].filter(Boolean).join(" "));
}
