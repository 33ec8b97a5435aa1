// Two pictures at once: one over the other with a divider to drag, or side by side. Both follow the same zoom.

import { fill, h } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";

/** `layer(asset)` makes what shows a picture; `moved()` hears that there is another amount of room for them. */
export function comparison(stage, { layer, turn, over, moved }) {
  let mode = "slider";
  let shown = [];
  const split = h("input", {
    class: "compare-split", type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": "Divider between the two pictures",
    oninput: () => stage.style.setProperty("--split", `${split.value}%`),
  });
  const line = h("span", { class: "compare-line", "aria-hidden": "true" });
  const modes = h("button", { class: "button", type: "button", onclick: () => change(mode === "slider" ? "beside" : "slider") });
  const names = [h("span", { class: "compare-name" }), h("span", { class: "compare-name" })];
  const tools = h("div", { class: "compare-tools", role: "toolbar", "aria-label": "Comparison" },
    h("button", { class: "icon-button", type: "button", "aria-label": "Compare with the one before", title: "Compare with the one before", onclick: () => turn(-1) }, icon("left")),
    modes,
    h("button", { class: "icon-button", type: "button", "aria-label": "Compare with the next", title: "Compare with the next", onclick: () => turn(1) }, icon("right")),
    h("button", { class: "button", type: "button", onclick: over }, "End"));
  const element = h("div", { class: "compare" });

  function change(to) {
    mode = to;
    stage.dataset.compare = mode;
    modes.textContent = mode === "slider" ? "Side by side" : "One over the other";
    split.hidden = line.hidden = mode !== "slider";
    moved();
  }
  return {
    get active() { return shown.length > 0; },
    show(first, second) {
      shown = [first, second];
      stage.style.setProperty("--split", `${split.value}%`);
      names.forEach((name, i) => { name.textContent = nameOf(shown[i], i); });
      const layers = shown.map((asset, i) => fill(h("div", { class: "compare-side", data: { side: i ? "right" : "left" } }), layer(asset), names[i]));
      fill(element, layers, line, split, tools);
      if (!element.isConnected) stage.append(element);
      change(mode);
    },
    end() {
      shown = [];
      element.remove();
      delete stage.dataset.compare;
    },
  };
}

function nameOf(asset, i) {
  const facts = [asset.generation?.model, asset.seed !== null && asset.seed !== undefined ? `seed ${asset.seed}` : null].filter(Boolean);
  return facts.join(", ") || (i ? "Second" : "First");
}
