// Small charts of SVG elements. Each has a name and a sentence that says the same, for whoever does not see it.

import { h, svg, uid } from "studio/lib/dom.js";

/** A figure: its title, its sentence, and the drawing or the list below. */
export function figure(title, said, ...drawing) {
  const id = uid("figure");
  return h("figure", { class: "panel", "aria-labelledby": id },
    h("figcaption", null, h("h2", { id }, title), said && h("p", { class: "panel-said" }, said)),
    ...drawing);
}

/**
 * Bars that stand side by side, in two parts: `rows` of {good, bad, title}. The table of the same figures is what a
 * screen reader hears; the drawing is for the eyes.
 */
export function bars(rows, { high = 120, name }) {
  const most = Math.max(1, ...rows.map((row) => row.good + row.bad));
  const step = 100 / rows.length;
  const drawing = svg("svg", { viewBox: `0 0 100 ${high}`, preserveAspectRatio: "none", class: "bars", role: "img", "aria-label": name });
  rows.forEach((row, i) => {
    const good = (row.good / most) * (high - 4);
    const bad = (row.bad / most) * (high - 4);
    const at = { x: i * step + step * 0.14, width: step * 0.72, rx: 0.35 };
    const group = svg("g", {}, svg("title", {}, row.title), svg("rect", { x: i * step, width: step, y: 0, height: high, class: "bar-room" }));
    if (row.good) group.append(svg("rect", { ...at, y: high - good, height: Math.max(1.5, good), class: "bar-good" }));
    if (row.bad) group.append(svg("rect", { ...at, y: high - good - bad, height: Math.max(1.5, bad), class: "bar-bad" }));
    if (!row.good && !row.bad) group.append(svg("rect", { ...at, y: high - 1.5, height: 1.5, class: "bar-none" }));
    drawing.append(group);
  });
  return h("div", { class: "bars-box" },
    h("span", { class: "bars-most tabular", "aria-hidden": "true" }, String(most)),
    drawing);
}

/** Seats in a row: taken or free; and a mark for those that wait. */
export function seats(running, all, queued) {
  const shown = Math.min(all, 32);
  const drawing = svg("svg", { viewBox: `0 0 ${shown * 12} 12`, class: "seats", "aria-hidden": "true" });
  drawing.style.setProperty("--seats", shown);
  for (let i = 0; i < shown; i++) {
    const taken = i < Math.round((running / all) * shown) || (i === 0 && running > 0);
    drawing.append(svg("rect", { x: i * 12 + 1, y: 1, width: 10, height: 10, rx: 3, class: taken ? "seat-taken" : "seat-free" }));
  }
  return h("div", { class: "seats-box" }, drawing, queued ? h("span", { class: "chip" }, `${queued} waiting`) : null);
}

/** A share of a whole as a line: `parts` of {share, kind}. */
export function share(value, name) {
  const drawing = svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", class: "share", role: "img", "aria-label": name });
  drawing.append(svg("rect", { width: 100, height: 6, rx: 1, class: "share-rest" }));
  if (value > 0) drawing.append(svg("rect", { width: Math.max(0.5, value * 100), height: 6, rx: 1, class: "share-part" }));
  return drawing;
}

/** Two durations on one scale: the middle one as a bar, the slow end as a line behind it. */
export function span(p50, p95, most, name) {
  const drawing = svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "span", role: "img", "aria-label": name });
  const at = (value) => Math.max(0.8, (value / most) * 100);
  drawing.append(
    svg("rect", { x: 0, y: 4, width: at(p95), height: 2, class: "span-slow" }),
    svg("rect", { x: 0, y: 1, width: at(p50), height: 8, rx: 1, class: "span-middle" }),
    svg("rect", { x: at(p95) - 0.6, y: 1, width: 0.6, height: 8, class: "span-slow" }));
  return drawing;
}
