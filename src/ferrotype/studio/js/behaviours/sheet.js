// One order in the list, as a contact sheet: what was asked, how far it is, its pictures.

import { fill, h } from "studio/lib/dom.js";
import { credits, plural, seconds, time, usd } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { takesInputs } from "studio/lib/catalogue.js";
import { effect, scope } from "studio/lib/store.js";
import { navigate } from "studio/lib/router.js";
import { again, cancel, hasEnded, retryBatch, tick } from "studio/behaviours/live.js";
import { shortName } from "studio/behaviours/model-picker.js";
import { ratioFor, tile } from "studio/behaviours/tile.js";

/** Seconds that it will still take, as far as anybody knows. */
function left(entry) {
  const { eta_s: eta } = entry.data.peek();
  return eta ? Math.max(0, eta - (performance.now() - (entry.at ?? performance.now())) / 1000) : null;
}

/** How an order stands, in words. */
export function stateWords(entry, data = entry.data.peek()) {
  const rest = left(entry), soon = rest ? `, about ${seconds(rest)}` : "";
  switch (data.status) {
    case "sending": return "Sending";
    case "unsent": return "Waiting for the connection";
    case "queued": return `${data.queue_position > 0 ? `${data.queue_position} ahead` : "Next"}${soon}`;
    case "running": return data.progress ? `${Math.round(data.progress * 100)} %${soon}` : `Being made${soon}`;
    case "succeeded": return data.metrics?.total_s ? `Made in ${seconds(data.metrics.total_s)}` : "Made";
    case "canceled": return "Canceled";
    case "failed": return "Failed";
    default: return data.status;
  }
}

/** A bar that is there while something is under way. */
export function progressBar(label, progress) {
  const bar = h("div", { class: "progress", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, h("span"));
  effect(() => {
    const value = progress();
    bar.style.setProperty("--progress", value ?? 0);
    if (value === null) bar.removeAttribute("aria-valuenow"); else bar.setAttribute("aria-valuenow", Math.round(value * 100));
  });
  return bar;
}

const tool = (name, words, run) => h("button", { class: "icon-button", type: "button", "aria-label": words, title: words, onclick: run }, icon(name));

export function sheet(entry, known, { side }) {
  const inputs = takesInputs(known);
  const first = entry.data.peek();
  const prompt = first.input.prompt || known?.operations.find((each) => each.name === first.operation)?.title || first.operation;
  const ratio = ratioFor(known, first.input, first.output), count = first.input.num_images ?? 1;
  const state = h("span", { class: "sheet-state tabular" }), tools = h("div", { class: "sheet-tools" }), error = h("div", { class: "sheet-error" });
  const bar = progressBar(`Progress of ${prompt}`, () => entry.data.value.progress);
  const list = () => entry.data.peek().output.map((each) => each.id);
  const tiles = h("div", { class: "tiles" }, Array.from({ length: count }, (_, index) => tile(entry, index, ratio, { side, list, inputs })));
  const box = h("article", { class: "sheet", "aria-label": prompt, style: { "--ratio": ratio, "--count": count } },
    tiles, bar,
    h("header", { class: "sheet-head" },
      h("div", { class: "sheet-words" }, h("h3", { class: "sheet-prompt", title: prompt }, prompt), h("div", { class: "sheet-meta" }, state, meta(first, known))),
      tools),
    error);
  effect(() => {
    const data = entry.data.value;
    tick.value;
    state.textContent = stateWords(entry, data);
    box.dataset.status = data.status;
    bar.hidden = hasEnded(data);
  });
  let drawn = "";
  effect(() => {
    const { status, id } = entry.data.value;
    const now = `${status} ${id}`;
    if (now === drawn) return;
    drawn = now;
    const data = entry.data.peek();
    fill(tools,
      id && !hasEnded(data) && tool("close", "Cancel", () => cancel(entry)),
      hasEnded(data) && status !== "failed" && tool("retry", "Make it again", () => again(entry)),
      hasEnded(data) && tool("remix", "Remix: fill the form with this", () => navigate(`/studio?remix=${id}`)));
    fill(error, status === "failed" && data.error && [
      h("p", null, h("strong", null, data.error.title), " ", h("span", null, data.error.detail)),
      h("button", { class: "button", type: "button", onclick: () => again(entry) }, icon("retry"), "Try again")]);
  });
  return box;
}

function meta(data, known) {
  const { style, aspect_ratio: shape, seed } = data.input;
  const title = known?.styles.find((each) => each.name === style)?.title ?? style;
  return [shortName(known, data.model), title, shape, seed !== null && seed !== undefined && data.id ? `seed ${seed}` : null]
    .filter(Boolean).map((each) => h("span", { class: "meta" }, each));
}

// ---- batches

export function batchSheet(batch, known, { side, onrows }) {
  const state = h("p", { class: "sheet-state tabular" }), tools = h("div", { class: "sheet-tools" }), tiles = h("div", { class: "tiles" });
  const title = h("h3", { class: "sheet-prompt" });
  const bar = progressBar("Progress of the batch", () => batch.data.value.progress);
  const box = h("article", { class: "sheet sheet-batch", "aria-label": "Batch" }, tiles, bar,
    h("header", { class: "sheet-head" }, h("div", { class: "sheet-words" }, title, h("div", { class: "sheet-meta" }, state)), tools));
  effect(() => {
    const data = batch.data.value;
    title.textContent = data.name || batchName(batch, data);
    box.dataset.status = data.status;
    bar.hidden = hasEnded(data);
    state.textContent = batchWords(batch, data);
  });
  let drawn = "";
  effect(() => {
    const data = batch.data.value, failed = (data.counts?.failed ?? 0) + (data.counts?.refused ?? 0), now = `${data.status} ${failed}`;
    if (now === drawn) return;
    drawn = now;
    fill(tools,
      h("button", { class: "button", type: "button", data: { kind: "quiet" }, onclick: () => onrows(batch) }, "Rows"),
      hasEnded(data) && failed > 0 && h("button", { class: "button", type: "button", onclick: () => retryBatch(batch) }, icon("retry"), `Retry ${failed}`),
      !hasEnded(data) && tool("close", "Cancel the batch", () => cancel(batch)));
  });
  const placed = new Map(), lives = scope();
  box.stop = lives.stop;
  effect(() => {
    const list = () => batch.items.peek().flatMap((item) => item.entry?.data.peek().output.map((each) => each.id) ?? []);
    const children = batch.items.value.flatMap((item) => {
      const data = item.entry?.data.peek(), count = data?.input.num_images ?? 1;
      const ratio = data ? ratioFor(known, data.input, data.output) : 1;
      return Array.from({ length: count }, (_, index) => {
        const key = `${item.index} ${index} ${item.entry ? "" : item.status}`;
        if (!placed.has(key)) placed.set(key, lives.run(() => item.entry ? tile(item.entry, index, ratio, { side: side * 0.62, list, inputs: takesInputs(known) }) : waiting(item)));
        return placed.get(key);
      });
    });
    if (children.some((child, at) => tiles.children[at] !== child) || tiles.children.length !== children.length) fill(tiles, children);
  });
  return box;
}

/** A batch without a name is called by what it begins with. */
export function batchName(batch, data = batch.data.peek()) {
  const first = batch.items.value[0]?.prompt;
  if (!first) return `Batch of ${plural(data.num_items, "order")}`;
  return data.num_items > 1 ? `${first}, and ${plural(data.num_items - 1, "more", "more")}` : first;
}

const waiting = (item) => h("figure", { class: "tile", style: { "--ratio": 1 }, data: { state: item.status === "refused" ? "failed" : "waiting" } },
  item.error && h("div", { class: "tile-cover" }, h("p", { class: "tile-words" }, icon("alert"), h("span", null, item.error.detail))));

export function batchWords(batch, data = batch.data.peek()) {
  const { counts = {}, images, cost, eta_s: eta } = data;
  const bad = (counts.failed ?? 0) + (counts.refused ?? 0);
  return [
    hasEnded(data) ? { succeeded: "Finished", failed: "Failed", canceled: "Canceled" }[data.status] : eta ? `about ${seconds(eta)} left` : "Under way",
    images && `${images.made} of ${plural(images.ordered, "picture")}`,
    bad ? `${bad} failed` : null,
    cost && credits(cost.credits), cost && usd(cost.usd),
    hasEnded(data) && data.completed_at ? time(data.completed_at) : null,
  ].filter(Boolean).join(" · ");
}
