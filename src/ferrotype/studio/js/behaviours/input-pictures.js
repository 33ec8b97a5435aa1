// Input pictures: dropped, pasted, picked, or sent here from the gallery; uploaded at once, with their progress.

import { get, picture, upload } from "studio/lib/api.js";
import { fill, h, uid } from "studio/lib/dom.js";
import { bytes } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { effect, signal } from "studio/lib/store.js";
import { announce, toast, toastProblem } from "studio/lib/toast.js";
import { field } from "studio/behaviours/field.js";

export function imagesField(form) {
  const under = signal([]); // uploads that are on their way: {name, url, progress, stop}
  const input = h("input", { type: "file", accept: "image/*", multiple: true, class: "sr-only", id: uid("pick"), onchange: () => { add(input.files); input.value = ""; } });
  const list = h("ul", { class: "inputs" });
  const words = h("span");
  const drop = h("label", { class: "drop", for: input.id }, icon("upload"), words);
  const box = field(form, "images", "Input pictures", h("div", { class: "inputs-box" }, input, list, drop), { group: true });

  async function add(files) {
    const shows = form.shows.peek();
    const room = shows.images.max - form.draft.peek().images.length - under.peek().length;
    const pictures = [...files].filter((file) => file.type.startsWith("image/") || !file.type);
    if (pictures.length < files.length) toast("Only pictures can be inputs.", { kind: "error" });
    if (pictures.length > room) toast(`${form.model.peek().title} takes ${shows.images.max} input ${shows.images.max === 1 ? "picture" : "pictures"}.`, { kind: "error" });
    await Promise.all(pictures.slice(0, Math.max(0, room)).map(send));
  }

  async function send(file) {
    const stop = new AbortController();
    const entry = { name: file.name || "Pasted picture", url: URL.createObjectURL(file), progress: signal(0), stop, size: file.size };
    under.value = [...under.peek(), entry];
    try {
      const asset = await upload(file, (done) => { entry.progress.value = done; }, stop.signal);
      form.change({ images: [...form.draft.peek().images, { id: asset.id, name: entry.name }] });
      announce(`${entry.name} is uploaded`);
    } catch (error) {
      if (error.problem) form.problems.value = { ...form.problems.peek(), images: `${entry.name}: ${error.message}` };
      else toastProblem(error);
    } finally {
      under.value = under.peek().filter((each) => each !== entry);
      URL.revokeObjectURL(entry.url);
    }
  }

  const remove = (id) => form.change({ images: form.draft.peek().images.filter((each) => each.id !== id) });

  effect(() => {
    const { images } = form.draft.value, uploads = under.value, shows = form.shows.value;
    box.hidden = shows.images.max === 0;
    fill(list,
      images.map(({ id, name }, at) => h("li", { class: "input-picture" },
        h("img", { src: picture(id, { w: 88 }), alt: name, width: 88, height: 88, decoding: "async" }),
        shows.images.max > 1 && h("span", { class: "input-number", "aria-hidden": "true" }, at + 1),
        h("button", { class: "icon-button", type: "button", "aria-label": `Remove ${name}`, onclick: () => remove(id) }, icon("close")))),
      uploads.map((entry) => {
        const bar = h("div", { class: "progress", role: "progressbar", "aria-label": `Uploading ${entry.name}`, "aria-valuemin": 0, "aria-valuemax": 100 }, h("span"));
        effect(() => { bar.style.setProperty("--progress", entry.progress.value); bar.setAttribute("aria-valuenow", Math.round(entry.progress.value * 100)); });
        return h("li", { class: "input-picture", title: `${entry.name}, ${bytes(entry.size)}` },
          h("img", { src: entry.url, alt: "", width: 88, height: 88 }), bar,
          h("button", { class: "icon-button", type: "button", "aria-label": `Stop uploading ${entry.name}`, onclick: () => entry.stop.abort() }, icon("close")));
      }));
    const { min, max } = shows.images;
    drop.hidden = images.length + uploads.length >= max;
    fill(words, h("strong", null, max === 1 ? "Choose a picture" : "Choose pictures"), ` or drop or paste ${max === 1 ? "one" : "them"} here`,
      h("span", { class: "faint block" }, min > 0 ? (min === max ? `${min} needed` : `${min} to ${max}`) : `Up to ${max}`));
  });

  // Anywhere on the page will do: the outline shows where they go.
  const takes = () => form.shows.peek().images.max > 0;
  const files = (event) => [...(event.dataTransfer ?? event.clipboardData)?.files ?? []];
  const on = {
    dragover: (event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); box.toggleAttribute("data-over", takes()); } },
    dragleave: (event) => { if (!event.relatedTarget) box.removeAttribute("data-over"); },
    drop: (event) => { if (!files(event).length) return; event.preventDefault(); box.removeAttribute("data-over"); given(files(event)); },
    paste: (event) => { if (!files(event).length || document.querySelector("dialog[open]")) return; event.preventDefault(); given(files(event)); },
  };
  function given(found) {
    if (takes()) return add(found);
    const able = form.known.operations.find((each) => each.models.length && form.known.models.some((model) => model.available && model.operations.includes(each.name) && model.capabilities.max_images > 0));
    if (!able) { toast("No model that is set up here takes input pictures.", { kind: "error" }); return null; }
    form.change({ operation: able.name, params: {} });
    announce(`${able.title}: pictures are taken now`);
    return add(found);
  }
  for (const [type, story] of Object.entries(on)) document.addEventListener(type, story);
  box.stop = () => { for (const [type, story] of Object.entries(on)) document.removeEventListener(type, story); };
  return box;
}

export function maskField(form) {
  const input = h("input", { type: "file", accept: "image/*", class: "sr-only", id: uid("mask"), onchange: () => { if (input.files[0]) send(input.files[0]); input.value = ""; } });
  const shown = h("div", { class: "inputs-box" });
  const box = field(form, "mask", "Mask", shown, { group: true, hint: "A picture of the same size: what is white is changed." });
  async function send(file) {
    try {
      const asset = await upload(file);
      form.change({ mask: { id: asset.id, name: file.name } });
    } catch (error) { toastProblem(error); }
  }
  effect(() => {
    const { mask } = form.draft.value;
    box.hidden = form.shows.value.mask === "none";
    fill(shown, input, mask?.id
      ? h("div", { class: "input-picture" }, h("img", { src: picture(mask.id, { w: 88 }), alt: "The mask", width: 88, height: 88 }),
        h("button", { class: "icon-button", type: "button", "aria-label": "Remove the mask", onclick: () => form.change({ mask: null }) }, icon("close")))
      : h("label", { class: "drop", for: input.id }, icon("upload"), h("span", null, h("strong", null, "Choose a mask"))));
  });
  return box;
}

/** Take a picture that is here already as the input. */
export async function takeInput(form, assetId) {
  const asset = await get(`/v1/assets/${encodeURIComponent(assetId)}`);
  const now = form.shows.peek();
  if (now.images.max === 0) {
    const able = ["edit", "variation", ...form.known.operations.map((each) => each.name)]
      .map((name) => form.known.operations.find((each) => each.name === name))
      .find((each) => each?.models.length && each.max_images > 0);
    if (!able) throw new Error("No model that is set up here takes input pictures.");
    form.change({ operation: able.name, params: {} });
  }
  const { images } = form.draft.peek(), most = form.shows.peek().images.max;
  const others = images.filter((each) => each.id !== asset.id);
  form.change({ images: [...others.slice(0, most - 1), { id: asset.id, name: "Picture of the gallery" }] });
}
