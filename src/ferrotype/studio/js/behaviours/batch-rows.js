// The rows of the batch form: a prompt, a style and a shape each; many pasted lines become many rows.

import { fill, h } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";
import { plural } from "studio/lib/format.js";
import { toast } from "studio/lib/toast.js";
import { fillSelect } from "studio/behaviours/model-picker.js";
import { grow } from "studio/behaviours/prompt-field.js";

export const MOST_ROWS = 10;
export const emptyRow = (like = {}) => ({ prompt: "", style: like.style ?? null, ratio: like.ratio ?? null, problem: "" });

/** `rows`: a signal of rows; `form`: of the page, for what its model can do. */
export function rowList(form, rows, onchange) {
  const list = h("ol", { class: "rows" });
  const shows = form.shows.peek();

  const update = (at, patch) => {
    rows.value = rows.peek().map((row, index) => index === at ? { ...row, ...patch, problem: "" } : row);
    onchange();
  };

  function row(data, at) {
    const area = h("textarea", { class: "textarea row-prompt", rows: 1, value: data.prompt, "aria-label": `Prompt of row ${at + 1}`, placeholder: at === 0 ? "A prompt; paste many lines for many rows" : "A prompt",
      "aria-invalid": data.problem ? "true" : null,
      oninput: () => { update(at, { prompt: area.value }); grow(area); },
      onpaste: (event) => {
        const lines = (event.clipboardData?.getData("text/plain") ?? "").split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
        if (lines.length < 2) return;
        event.preventDefault();
        spread(at, lines);
      },
      onkeydown: (event) => {
        if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); next(at); }
        if (event.key === "Backspace" && !area.value && rows.peek().length > 1) { event.preventDefault(); remove(at); }
      } });
    requestAnimationFrame(() => grow(area));
    const select = (label, value, entries, run) => {
      const element = h("select", { class: "select", "aria-label": `${label} of row ${at + 1}`, onchange: () => run(element.value || null) });
      fillSelect(element, entries, value ?? "");
      return element;
    };
    return h("li", { class: "row" },
      h("span", { class: "row-number tabular", "aria-hidden": "true" }, at + 1), area,
      shows.styles && select("Style", data.style, [["", "No style"], ...form.known.styles.map((each) => [each.name, each.title])], (style) => update(at, { style })),
      shows.ratios.length > 0 && select("Shape", data.ratio ?? shows.ratios[0].name, shows.ratios.map((each) => [each.name, each.name]), (ratio) => update(at, { ratio })),
      h("button", { class: "icon-button", type: "button", "aria-label": `Remove row ${at + 1}`, disabled: rows.peek().length === 1, onclick: () => remove(at) }, icon("trash")),
      data.problem && h("p", { class: "problem row-problem", role: "alert" }, icon("alert"), h("span", null, data.problem)));
  }

  function draw(focus = null) {
    fill(list, rows.peek().map(row));
    if (focus !== null) list.children[focus]?.querySelector("textarea").focus();
  }

  function spread(at, lines) {
    const before = rows.peek(), like = before[at];
    const fresh = lines.map((prompt) => ({ ...emptyRow(like), prompt }));
    const all = [...before.slice(0, at), ...fresh, ...before.slice(at + 1).filter((each) => each.prompt.trim())];
    if (before[at].prompt.trim()) all.splice(at, 0, before[at]);
    rows.value = all.slice(0, MOST_ROWS);
    if (all.length > MOST_ROWS) toast(`${MOST_ROWS} rows fit here; ${plural(all.length - MOST_ROWS, "line was", "lines were")} left out. Longer lists go by "ferrotype batch" or the API.`, { timeout: 12_000 });
    draw(Math.min(at + lines.length, rows.peek().length) - 1);
    onchange();
  }

  function next(at) {
    const count = rows.peek().length;
    if (at === count - 1) add(); else list.children[at + 1].querySelector("textarea").focus();
  }

  function add() {
    const now = rows.peek();
    if (now.length >= MOST_ROWS) return;
    rows.value = [...now, emptyRow(now.at(-1))];
    draw(now.length);
    onchange();
  }

  function remove(at) {
    rows.value = rows.peek().filter((_, index) => index !== at);
    draw(Math.max(0, at - 1));
    onchange();
  }

  draw();
  return { list, add, draw, spread };
}
