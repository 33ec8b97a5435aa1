// One picture of an order: its place is reserved in its shape; it develops from placeholder over previews to itself.

import { picture } from "studio/lib/api.js";
import { fill, h, near } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";
import { effect } from "studio/lib/store.js";
import { navigate } from "studio/lib/router.js";
import { toastProblem } from "studio/lib/toast.js";
import { hasEnded } from "studio/behaviours/live.js";

/** `entry`: of live.js; `index`: which of its pictures; `ratio`: width / height; `side`: CSS pixels of its height. */
export function tile(entry, index, ratio, { side = 280, list = () => [], inputs = false } = {}) {
  const art = h("div", { class: "tile-art" });
  const cover = h("div", { class: "tile-cover" });
  const figure = h("figure", { class: "tile", style: { "--ratio": ratio } }, art, cover);
  // A list of what ended long ago loads what is looked at.
  const seen = hasEnded(entry.data.peek()) ? near(figure) : null;
  let shownId = null, previewed = null, failures = 0;

  async function develop(src, kind) {
    const image = new Image();
    image.decoding = "async";
    image.alt = "";
    image.className = `tile-image tile-${kind}`;
    image.src = src;
    await image.decode();
    art.append(image);
    image.getBoundingClientRect(); // so that the fade begins where it should
    image.dataset.shown = "";
    const under = [...art.children].slice(0, -1);
    const clean = () => { for (const each of under) each.remove(); };
    image.addEventListener("transitionend", clean, { once: true });
    setTimeout(clean, 1500);
    return image;
  }

  async function show(asset) {
    shownId = asset.id;
    if (seen) await seen;
    try {
      const wide = Math.max(asset.width && asset.height ? asset.width / asset.height : ratio, 0.3) * side;
      const image = await develop(picture(asset.id, { w: wide }), "picture");
      image.alt = entry.data.peek().input.prompt || "Picture";
      figure.dataset.state = "done";
      dress(asset);
    } catch {
      if (shownId === asset.id) shownId = null;
      if (failures++ < 3 && figure.isConnected) setTimeout(() => { const now = find(); if (now && now.state !== "failed") show(now); }, 600 * failures);
      else trouble("The picture cannot be loaded");
    }
  }

  function dress(asset) {
    fill(cover,
      h("button", { class: "tile-open", type: "button", "aria-label": `Open picture ${index + 1}: ${entry.data.peek().input.prompt || entry.data.peek().operation}`, onclick: () => open(asset.id) }),
      h("div", { class: "tile-tools" },
        h("a", { class: "icon-button", href: `${picture(asset.id)}?dl=1`, download: "", "aria-label": "Download", title: "Download" }, icon("download")),
        inputs && h("button", { class: "icon-button", type: "button", "aria-label": "Use as input", title: "Use as input", onclick: () => navigate(`/studio?input=${asset.id}`) }, icon("input"))));
  }

  async function open(assetId) {
    try {
      const { openViewer } = await import("studio/behaviours/viewer.js");
      openViewer(assetId, { list: list() });
    } catch (error) {
      console.warn(error);
      window.open(picture(assetId), "_blank", "noopener");
    }
  }

  function trouble(words) {
    figure.dataset.state = "failed";
    fill(cover, h("p", { class: "tile-words" }, icon("alert"), h("span", null, words)));
  }

  const find = () => entry.data.peek().output.find((each) => each.index === index);

  effect(() => {
    const data = entry.data.value;
    const asset = data.output.find((each) => each.index === index);
    figure.style.setProperty("--progress", data.progress ?? 0);
    if (asset?.placeholder?.data_uri && !previewed && !shownId) develop(asset.placeholder.data_uri, "preview").catch(() => {});
    if (asset && asset.state !== "failed") { if (shownId !== asset.id) show(asset); }
    else if (asset) trouble("Its bytes never arrived");
    else if (data.status === "canceled") { figure.dataset.state = "canceled"; fill(cover, h("p", { class: "tile-words" }, "Canceled")); }
    else if (hasEnded(data)) trouble(data.status === "failed" ? "Not made" : "This one was not made");
    else figure.dataset.state = data.status === "running" ? "running" : "waiting";
  });
  effect(() => {
    const preview = entry.previews.value[index];
    if (!preview || preview === previewed || shownId) return;
    previewed = preview;
    develop(preview, "preview").catch(toastProblemless);
  });
  return figure;
}

/** A preview that cannot be shown is no loss. */
const toastProblemless = (error) => { if (error?.problem) toastProblem(error); };

/** Width / height that a generation's pictures will have. */
export function ratioFor(known, input, output = []) {
  const made = output.find((each) => each.width && each.height);
  if (made) return made.width / made.height;
  if (input.width && input.height) return input.width / input.height;
  const named = known?.ratios.find((each) => each.name === input.aspect_ratio) ?? (input.aspect_ratio ? null : known?.ratios[0]);
  return named ? named.width / named.height : 1;
}
