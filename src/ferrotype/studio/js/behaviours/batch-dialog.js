// Many orders at once: rows, what they make, what they cost; then a bar a row until all have ended.

import { ApiProblem, post } from "studio/lib/api.js";
import { debounce, fill, h } from "studio/lib/dom.js";
import { openDialog } from "studio/lib/dialogs.js";
import { plural } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { effect, kept, scope, signal } from "studio/lib/store.js";
import { toast } from "studio/lib/toast.js";
import { MOST_ROWS, emptyRow, rowList } from "studio/behaviours/batch-rows.js";
import { orderOf } from "studio/behaviours/draft.js";
import { told } from "studio/behaviours/estimate.js";
import { cancel, hasEnded, orderBatch, retryBatch, tick } from "studio/behaviours/live.js";
import { stepper } from "studio/behaviours/numbers.js";
import { newKey } from "studio/behaviours/outbox.js";
import { rememberPrompt } from "studio/behaviours/prompt-field.js";
import { batchWords, progressBar, stateWords } from "studio/behaviours/sheet.js";

const memory = kept("sessionStorage", "ferrotype.batch");
const hasGroups = (text) => /\{[^{}]*(\||\.\.)[^{}]*\}/.test(text);

/** `prompt`: words to begin with instead of what was there. */
export function openBatch(form, { prompt = null } = {}) {
  if (document.querySelector(".dialog-batch")) return;
  const draft = form.draft.peek(), saved = memory.read();
  const start = prompt !== null ? [{ ...emptyRow(draft), prompt }] : saved?.rows?.length ? saved.rows : [{ ...emptyRow(draft), prompt: draft.prompt }];
  const rows = signal(start.map((row) => ({ ...row, problem: "" })));
  const each = signal(saved?.each ?? 1), expand = signal(saved?.expand ?? true);
  const makes = h("div", { class: "makes", role: "status" }), sum = h("p", { class: "estimate tabular", role: "status" });
  const problem = h("p", { class: "problem", role: "alert" });

  const body = () => {
    const defaults = orderOf(form);
    for (const name of ["prompt", "style", "aspect_ratio", "num_images"]) delete defaults[name];
    const shows = form.shows.peek();
    const sized = defaults.width !== undefined;
    const items = filled().map(({ prompt: words, style, ratio }) => ({
      prompt: words.trim(), num_images: each.peek(),
      ...(shows.styles && style ? { style } : {}),
      ...(!sized && shows.ratios.length ? { aspect_ratio: ratio ?? shows.ratios[0].name } : {}),
    }));
    return { defaults, items, expand: expand.peek() };
  };
  const filled = () => rows.peek().filter((row) => row.prompt.trim());

  let turn = 0;
  const look = debounce(async () => {
    const mine = ++turn, order = body();
    if (!order.items.length) { fill(makes); fill(sum); return; }
    const [expansion, estimate] = await Promise.all([
      order.expand && order.items.some((item) => hasGroups(item.prompt)) ? post("/v1/batches/expand", order).catch(problemOf) : null,
      post("/v1/estimates", order).catch(problemOf),
    ]);
    if (mine !== turn) return;
    problem.textContent = [expansion, estimate].find((found) => found instanceof ApiProblem && found.status === 422)?.message ?? "";
    showMakes(expansion instanceof ApiProblem ? null : expansion, order.items.length);
    const price = form.model.peek()?.price.credits ?? 0;
    const cost = estimate instanceof ApiProblem ? { credits: price * order.items.length * each.peek() } : estimate;
    fill(sum, h("span", null, told(cost)), cost.sufficient === false && h("span", { class: "estimate-short" }, "Not enough credits"));
    const pictures = (expansion?.count ?? order.items.length) * each.peek();
    fill(go, icon("stack"), `Generate all ${pictures > 1 ? pictures : ""}`.trim());
  }, 250);
  const problemOf = (error) => { if (error instanceof ApiProblem) return error; throw error; };

  function showMakes(expansion, count) {
    if (!expansion || expansion.count === count) { fill(makes); return; }
    fill(makes, h("details", null,
      h("summary", null, `${plural(count, "row")} with choices in braces ${count === 1 ? "makes" : "make"} ${plural(expansion.count, "order")}: see them`),
      h("ol", { class: "expansion" }, expansion.items.map((item) => h("li", null, item.prompt)),
        expansion.truncated && h("li", { class: "faint" }, `and ${expansion.count - expansion.items.length} more`))));
  }

  const save = () => { memory.write({ rows: rows.peek().map(({ problem: _, ...row }) => row), each: each.peek(), expand: expand.peek() }); look(); };
  const { list, add, draw } = rowList(form, rows, save);
  const counter = stepper({ min: 1, max: 10, label: "pictures a row", id: "batch-each", onchange: (value) => { each.value = value; counter.show(value); save(); } });
  counter.show(each.peek());
  const choice = h("input", { type: "checkbox", role: "switch", checked: expand.peek(), onchange: () => { expand.value = choice.checked; save(); } });
  const more = h("button", { class: "button", type: "button", data: { kind: "quiet" }, onclick: add }, icon("plus"), "Add a row");
  effect(() => { more.disabled = rows.value.length >= MOST_ROWS; });
  const go = h("button", { class: "button", type: "button", data: { kind: "main" }, onclick: place }, icon("stack"), "Generate all");

  async function place() {
    if (!filled().length) { list.querySelector("textarea").focus(); return; }
    go.disabled = true;
    problem.textContent = "";
    const order = body(), places = rows.peek().map((row, at) => [row, at]).filter(([row]) => row.prompt.trim()).map(([, at]) => at);
    const key = newKey();
    try {
      const batch = await orderBatch(order, { key });
      for (const item of order.items) rememberPrompt(item.prompt);
      memory.write(null);
      dialog.close();
      watchBatch(batch, form.known);
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      const named = (error.problem.errors ?? []).filter((one) => Number.isInteger(one.row));
      rows.value = rows.peek().map((row, at) => ({ ...row, problem: named.find((one) => places[one.row] === at)?.detail ?? "" }));
      draw(named.length && !order.expand ? places[named[0].row] : null);
      problem.textContent = error.message;
    } finally {
      go.disabled = false;
    }
  }

  const dialog = openDialog({
    title: "Many at once", kind: "dialog-batch", width: "880px",
    body: [
      h("p", { class: "soft" }, `Up to ${MOST_ROWS} rows, made side by side by ${form.model.peek()?.title ?? "the chosen model"}. `, h("code", null, "{red|blue} car"), " makes one of each."),
      list, h("div", { class: "rows-foot" }, more, h("label", { class: "switch" }, h("span", null, "Expand choices in braces"), choice),
        h("div", { class: "rows-each" }, h("label", { for: "batch-each" }, "Pictures a row"), counter.box)),
      makes, problem],
    foot: [sum, h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Close"), go],
  });
  dialog.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (!go.disabled) place(); } });
  list.querySelector("textarea").focus();
  look();
}

/** The rows of a batch that was ordered, each with its bar. It may be closed at any time: the batch goes on. */
export function watchBatch(batch) {
  const list = h("ol", { class: "watch" }), words = h("p", { class: "soft tabular", role: "status" });
  const total = progressBar("Progress of all", () => batch.data.value.progress);
  const stop = h("button", { class: "button", type: "button", data: { kind: "danger" }, onclick: () => cancel(batch) }, "Cancel all");
  const retry = h("button", { class: "button", type: "button", onclick: async () => {
    const fresh = await retryBatch(batch);
    if (fresh) { dialog.close(); watchBatch(fresh); }
  } }, icon("retry"), "Retry failed");
  const dialog = openDialog({
    title: batch.data.peek().name || "Being made", kind: "dialog-watch", width: "720px",
    body: [words, total, list],
    foot: [stop, retry, h("button", { class: "button", type: "button", data: { kind: "main" }, onclick: () => dialog.close() }, "Done")],
  });
  const lives = scope(), made = new Map();
  lives.run(() => {
    effect(() => {
      const data = batch.data.value;
      words.textContent = batchWords(batch, data);
      stop.hidden = hasEnded(data);
      retry.hidden = !(hasEnded(data) && (data.counts?.failed ?? 0) + (data.counts?.refused ?? 0) > 0);
    });
    effect(() => {
      const lines = batch.items.value.map((item) => {
        const key = `${item.index} ${Boolean(item.entry)} ${item.entry ? "" : item.status}`;
        if (!made.has(key)) made.set(key, lives.run(() => line(item)));
        return made.get(key);
      });
      if (lines.some((each, at) => list.children[at] !== each)) fill(list, lines);
    });
  });
  dialog.addEventListener("close", lives.stop);
  if (batch.data.peek().num_items > batch.items.peek().length && batch.items.peek().length) toast(`The first ${batch.items.peek().length} rows are shown.`);
}

function line(item) {
  const state = h("span", { class: "watch-state tabular" });
  const bar = progressBar(`Row ${item.index + 1}`, () => item.entry ? (hasEnded(item.entry.data.value) ? 1 : item.entry.data.value.progress) : 0);
  const problem = h("p", { class: "problem" });
  const box = h("li", { class: "watch-row" }, h("span", { class: "row-number tabular", "aria-hidden": "true" }, item.index + 1),
    h("span", { class: "watch-prompt", title: item.prompt }, item.prompt || "No prompt"), state, bar, problem);
  effect(() => {
    const data = item.entry?.data.value;
    tick.value;
    box.dataset.status = data?.status ?? item.status;
    state.textContent = data ? stateWords(item.entry, data) : item.status === "refused" ? "Refused" : item.status === "canceled" ? "Canceled" : "Waiting";
    problem.textContent = (data?.error ?? item.error)?.detail ?? "";
  });
  return box;
}

