// The first page: the form on one side, what was ordered on the other.

import { ApiProblem, get } from "studio/lib/api.js";
import { fill, h } from "studio/lib/dom.js";
import { plural } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { navigate } from "studio/lib/router.js";
import { effect, scope } from "studio/lib/store.js";
import { announce, toast, toastProblem } from "studio/lib/toast.js";
import { openBatch, watchBatch } from "studio/behaviours/batch-dialog.js";
import { ratioField, styleField } from "studio/behaviours/choice-cards.js";
import { EMPTY, openDraft, orderOf, refill } from "studio/behaviours/draft.js";
import { estimateLine, watchEstimate } from "studio/behaviours/estimate.js";
import { showProblem } from "studio/behaviours/field.js";
import { imagesField, maskField, takeInput } from "studio/behaviours/input-pictures.js";
import { feed, listed, order, startLive } from "studio/behaviours/live.js";
import { modelField, operationField } from "studio/behaviours/model-picker.js";
import { countField, seedField } from "studio/behaviours/numbers.js";
import { advancedFields } from "studio/behaviours/params-fields.js";
import { negativeField, promptField, rememberPrompt } from "studio/behaviours/prompt-field.js";
import { batchSheet, sheet } from "studio/behaviours/sheet.js";
import { shortcut } from "studio/behaviours/shortcuts.js";

export const title = "Create";

const IDEAS = ["a fox under the moon", "a sailing boat on the sea at sunset", "a castle in the forest, rainbow", "two penguins in the snow"];
let form = null;

export function mount(root, { params }) {
  const composer = h("section", { class: "composer", "aria-label": "Order pictures" }, h("h1", { class: "sr-only" }, "Create"), h("div", { class: "composer-wait", role: "status" }, h("span", { class: "sr-only" }, "The form is being loaded")));
  const results = h("section", { class: "results", "aria-label": "Your orders" });
  root.append(composer, results);
  let stop = null, gone = false;
  startLive();
  start();
  return () => { gone = true; stop?.(); };

  async function start() {
    try {
      form ??= await openDraft();
    } catch (error) {
      fill(composer, h("div", { class: "empty" }, h("h2", null, "The form did not load"), h("p", null, error.message),
        h("button", { class: "button", type: "button", onclick: start }, "Load again")));
      return;
    }
    if (gone) return;
    const lives = scope();
    const end = lives.run(() => draw(composer, results));
    stop = () => { lives.stop(); end(); };
    await update({ params });
  }
}

/** `?remix=<generation>` and `?input=<asset>`. */
export async function update({ params }) {
  const remix = params.get("remix"), input = params.get("input");
  if (!form || !(remix || input)) return;
  navigate("/studio", { replace: true });
  try {
    if (remix) refill(form, await get(`/v1/generations/${encodeURIComponent(remix)}`));
    if (input) await takeInput(form, input);
    announce(remix ? "The form is filled" : "The picture is an input now");
    document.querySelector(".composer").scrollIntoView({ block: "start" });
    document.getElementById("prompt")?.focus({ preventScroll: true });
  } catch (error) { toastProblem(error); }
}

function draw(composer, results) {
  const images = imagesField(form);
  const estimate = watchEstimate(form);
  const button = h("button", { class: "button generate", type: "submit", data: { kind: "main" } });
  const outer = h("form", { class: "composer-form", novalidate: true, onsubmit: (event) => { event.preventDefault(); place(); } },
    h("div", { class: "composer-fields" },
      h("div", { class: "pair" }, operationField(form), modelField(form)),
      promptField(form, { onexpand: (prompt) => openBatch(form, { prompt }) }),
      images, maskField(form), negativeField(form),
      styleField(form), ratioField(form),
      h("div", { class: "pair" }, countField(form), seedField(form)),
      advancedFields(form)),
    h("div", { class: "composer-foot" }, estimateLine(estimate),
      h("div", { class: "composer-buttons" },
        h("button", { class: "icon-button", type: "button", "aria-label": "Empty the form", title: "Empty the form", onclick: clear }, icon("trash")),
        h("button", { class: "button", type: "button", onclick: () => openBatch(form) }, icon("stack"), "Many"), button)));
  fill(composer, h("h1", { class: "sr-only" }, "Create"), outer);
  effect(() => {
    const { count } = form.draft.value;
    fill(button, icon("spark"), count > 1 ? `Generate ${count}` : "Generate");
    button.disabled = !form.model.value;
  });

  function clear() {
    const before = form.draft.peek();
    form.change({ ...EMPTY, operation: before.operation, model: before.model });
    toast("The form is empty", { action: { label: "Undo", run: () => form.change(before) } });
    document.getElementById("prompt")?.focus();
  }

  async function place() {
    if (!form.model.peek()) return;
    const body = orderOf(form), shows = form.shows.peek();
    if (shows.prompt === "required" && !body.prompt) return void showProblem(form, outer, { field: "prompt", detail: "Say what to make." });
    if ((body.images?.length ?? 0) < shows.images.min) return void showProblem(form, outer, { field: "images", detail: `${plural(shows.images.min, "input picture")} needed.` });
    if (shows.mask === "required" && !body.mask) return void showProblem(form, outer, { field: "mask", detail: "A mask is needed." });
    form.problems.value = {};
    rememberPrompt(body.prompt);
    if (matchMedia("(max-width: 960px)").matches) results.scrollIntoView({ behavior: "smooth", block: "start" });
    announce("Ordered");
    try {
      form.lastSeed = (await order(body)).input.seed;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      if (!showProblem(form, outer, error.problem)) toastProblem(error);
    }
  }

  const gone = [
    shortcut("mod+Enter", "Generate", () => { if (!document.querySelector("dialog[open]")) place(); }, { group: "Create" }),
    shortcut("p", "Write the prompt", () => document.getElementById("prompt")?.focus(), { group: "Create" }),
    shortcut("b", "Many at once", () => openBatch(form), { group: "Create" }),
    shortcut("r", "Roll a seed", () => outer.querySelector("[data-field=seed] .icon-button")?.click(), { group: "Create" }),
    drawFeed(results),
    images.stop, estimate.stop,
  ];
  return () => { for (const each of gone) each(); };
}

function drawFeed(results) {
  const list = h("div", { class: "feed" });
  const nothing = h("div", { class: "empty" }, h("div", { class: "empty-plate", "aria-hidden": "true" }),
    h("h2", null, "Nothing on the plate yet"), h("p", null, "Say what you would like to see. Pictures appear here while they are made, also in your other tabs."),
    h("ul", { class: "ideas", "aria-label": "Ideas" }, IDEAS.map((idea) => h("li", null, h("button", { class: "button", type: "button", onclick: () => {
      form.change({ prompt: idea });
      document.getElementById("prompt")?.focus();
    } }, idea)))));
  fill(results, h("h2", { class: "sr-only" }, "Your orders"), list, nothing);
  const made = new Map();
  const side = innerWidth < 720 ? 200 : 280;
  effect(() => {
    const entries = feed.value;
    nothing.hidden = entries.length > 0 || !listed.value;
    const wanted = entries.map((entry) => {
      if (!made.has(entry)) {
        const lives = scope();
        const box = lives.run(() => entry.batch ? batchSheet(entry, form.known, { side, onrows: watchBatch }) : sheet(entry, form.known, { side }));
        made.set(entry, { box, stop() { lives.stop(); box.stop?.(); box.remove(); } });
      }
      return made.get(entry).box;
    });
    for (const [entry, { stop }] of made) if (!entries.includes(entry)) { stop(); made.delete(entry); }
    // Only what is new is put in: what stands there keeps its focus and its fades.
    wanted.forEach((box, at) => { if (list.children[at] !== box) list.insertBefore(box, list.children[at] ?? null); });
  });
  return () => { for (const { stop } of made.values()) stop(); };
}
