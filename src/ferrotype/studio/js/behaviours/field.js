// A field with its name, its problem, and what screen readers need of both.

import { fill, h, uid } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";
import { effect } from "studio/lib/store.js";

/** `name`: the order's field that a problem would name. `control` gets an id if it can be labelled. */
export function field(form, name, label, control, { hint = null, after = null, group = false } = {}) {
  const id = control.id || uid("field"), told = `${id}-problem`;
  const problem = h("p", { class: "problem", id: told, role: "alert" });
  if (!group) {
    control.id = id;
    control.setAttribute("aria-describedby", told);
  }
  const head = h("div", { class: "label" }, group ? h("span", { id: `${id}-label` }, label) : h("label", { for: id }, label), after);
  const box = h("div", { class: "field", data: { field: name }, role: group ? "group" : null, "aria-labelledby": group ? `${id}-label` : null },
    head, control, hint && h("p", { class: "faint" }, hint), problem);
  effect(() => {
    const text = textOf(form.problems.value, name);
    fill(problem, text && [icon("alert"), h("span", null, text)]);
    if (group) return;
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  });
  return box;
}

const textOf = (problems, name) =>
  Object.entries(problems).find(([key]) => key === name || key.startsWith(`${name}.`) || (name === "size" && (key === "width" || key === "height")))?.[1] ?? "";

/** Show a problem where its field is; true when there was such a place, and the first one has the focus. */
export function showProblem(form, root, problem) {
  const named = problem.errors?.length ? problem.errors : [problem];
  const found = {};
  for (const each of named) if (each.field) found[each.field] = each.detail ?? each.message ?? problem.detail;
  form.problems.value = found;
  const place = root.querySelector(".field [role=alert]:not(:empty)")?.closest(".field");
  if (!place) return false;
  place.closest("details")?.setAttribute("open", "");
  place.scrollIntoView({ block: "nearest" });
  const fields = ":is(textarea, select, input:not([type=file]))";
  (place.querySelector(`${fields}[aria-invalid]`) ?? place.querySelector(`:not(.label) > ${fields}`) ?? place.querySelector(":not(.label) > :is(input, button)"))?.focus({ preventScroll: true });
  return true;
}
