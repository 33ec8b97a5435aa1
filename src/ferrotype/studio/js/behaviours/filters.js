// What is searched for lives in the address: a search can be kept, shared and gone back to.

import { get } from "studio/lib/api.js";
import { debounce, fill, h, uid } from "studio/lib/dom.js";
import { count } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { navigate } from "studio/lib/router.js";
import { MINUTES_EAST } from "studio/behaviours/gallery-list.js";

const NAMES = {
  q: "Words", model: "Model", style: "Style", aspect_ratio: "Ratio", operation: "Operation", status: "State",
  from: "From", to: "Until", seed: "Seed", batch: "Batch", tag: "Tag",
};
// These choose a shelf, in the list at the side.
export const SHELVES = ["favourite", "uploads", "deleted", "collection"];
const FACETS = { model: "models", style: "styles", aspect_ratio: "aspect_ratios", operation: "operations" };
const STATES = { ready: "Ready", arriving: "Arriving", failed: "Never arrived" };
const DATE = /^\d{4}-\d\d-\d\d$/;

/** The search that an address asks for: parameters of the API. What makes no sense is left out. */
export function queryOf(params) {
  const query = {};
  for (const name of [...Object.keys(NAMES), ...SHELVES]) {
    const value = params.get(name)?.trim().slice(0, 200);
    if (!value) continue;
    if ((name === "from" || name === "to") && !DATE.test(value)) continue;
    if (name === "seed" && !/^\d{1,19}$/.test(value)) continue;
    if (name === "status" && !STATES[value]) continue;
    query[name] = ["favourite", "uploads", "deleted"].includes(name) ? "true" : value;
  }
  return query;
}

/** Go to another search; `changes` with null take a parameter away. */
export function change(changes, { replace = false } = {}) {
  const params = new URLSearchParams(location.search);
  params.delete("asset");
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") params.delete(name);
    else params.set(name, value);
  }
  return navigate(`/studio/gallery${params.size ? `?${params}` : ""}`, { replace });
}

/** The search field, the panel of filters and the chips of those that are set. */
export function filters() {
  const panelId = uid("filters");
  const words = h("input", {
    class: "input", type: "search", name: "q", maxlength: 200, placeholder: "Search prompts", "aria-label": "Search prompts", autocomplete: "off",
  });
  const typed = debounce(() => change({ q: words.value.trim() }, { replace: true }), 250);
  words.addEventListener("input", typed);
  words.addEventListener("search", typed);
  const fields = {};
  const panel = h("div", { class: "filter-panel", id: panelId, hidden: true },
    ...Object.keys(FACETS).map((name) => field(name, select(name))),
    field("status", select("status")),
    field("from", input("from", { type: "date" })),
    field("to", input("to", { type: "date" })),
    field("seed", input("seed", { type: "text", inputmode: "numeric", pattern: "[0-9]*", placeholder: "Any" })));
  const open = h("button", {
    class: "button", type: "button", "aria-expanded": "false", "aria-controls": panelId,
    onclick: () => {
      panel.hidden = !panel.hidden;
      open.setAttribute("aria-expanded", !panel.hidden);
    },
  }, icon("filter"), "Filters");
  const chips = h("ul", { class: "filter-chips", "aria-label": "Filters that are set" });
  const line = h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); typed.cancel(); change({ q: words.value.trim() }); } },
    h("div", { class: "filter-line" },
      h("span", { class: "search-field" }, icon("search"), words), open),
    panel, chips);

  function field(name, control) {
    fields[name] = control;
    return h("label", { class: "field" }, h("span", { class: "label" }, NAMES[name]), control);
  }
  function select(name) {
    return h("select", { class: "select", name, onchange: (event) => change({ [name]: event.target.value }) });
  }
  function input(name, props) {
    const later = debounce((value) => change({ [name]: value }), 350);
    return h("input", { class: "input", name, ...props, onchange: (event) => later(event.target.value.trim()) });
  }
  function chip(name, value) {
    const said = name === "status" ? STATES[value] : value;
    return h("li", null, h("button", { class: "chip", type: "button", "aria-label": `Take away ${NAMES[name]}: ${said}`, onclick: () => change({ [name]: null }) },
      h("span", null, `${NAMES[name]}: `, h("b", null, said)), icon("close")));
  }

  let asking = null;
  return {
    element: line,
    focus: () => words.focus(),
    /** Show a search, and ask what can be chosen in it. */
    show(query) {
      if (document.activeElement !== words) words.value = query.q ?? "";
      for (const [name, control] of Object.entries(fields)) {
        if (name === "status") options(control, query, name, Object.entries(STATES).map(([value, text]) => [value, text]));
        else if (!FACETS[name] && document.activeElement !== control) control.value = query[name] ?? "";
      }
      const set = Object.entries(query).filter(([name]) => NAMES[name] && name !== "q");
      open.lastChild.textContent = set.length ? `Filters (${set.length})` : "Filters";
      fill(chips, set.map(([name, value]) => chip(name, value)),
        set.length > 1 && h("li", null, h("button", { class: "chip", type: "button", onclick: () => change(Object.fromEntries(set.map(([name]) => [name, null]))) }, "Take all away")));
      this.count(query);
    },
    /** How many pictures each choice would leave. */
    async count(query) {
      asking?.abort();
      const mine = (asking = new AbortController());
      for (const name of Object.keys(FACETS)) if (!fields[name].options.length) options(fields[name], query, name, []);
      let facets;
      try {
        facets = await get(`/v1/gallery/facets?${new URLSearchParams({ ...query, tz: MINUTES_EAST })}`, { signal: mine.signal });
      } catch {
        return; // the choices of before still work
      }
      for (const [name, plural] of Object.entries(FACETS)) {
        options(fields[name], query, name, facets[plural].map((each) => [each.name, `${each.name} (${count(each.count)})`]));
      }
    },
  };
}

function options(control, query, name, choices) {
  const chosen = query[name] ?? "";
  const known = choices.some(([value]) => value === chosen);
  fill(control, h("option", { value: "" }, "Any"),
    chosen && !known && h("option", { value: chosen }, chosen),
    choices.map(([value, text]) => h("option", { value }, text)));
  control.value = chosen;
}
