// How the server does: seats, pictures of the last hour, how long things took, providers, caches, what went wrong.

import { get } from "studio/lib/api.js";
import { fill, h } from "studio/lib/dom.js";
import { ago, bytes, count, date, plural, seconds, time } from "studio/lib/format.js";
import { icon } from "studio/lib/icons.js";
import { bars, figure, seats, share, span } from "studio/behaviours/chart.js";

export const title = "Status";

// Milliseconds between two looks, while the page is seen.
const EVERY = 3000;
const CLASSES = { light: "Light models", heavy: "Heavy models", comic: "Comic models" };
const CACHES = { memory: "Memory", shared: "Shared cache", variants: "Variant store" };
const STATES = {
  closed: ["good", "Well"], busy: ["soft", "Busy"], "half-open": ["soft", "Being tried again"],
  open: ["bad", "Left alone"], misconfigured: ["bad", "Turns us away"],
};

export function mount(root) {
  const ending = new AbortController();
  const body = h("div", { class: "panels" });
  const head = h("p", { class: "soft tabular" }, "Looking …");
  const gone = h("p", { class: "problem", role: "alert" });
  let timer = 0;
  let drawn = "";
  fill(root, h("div", { class: "status" }, h("header", { class: "status-head" }, h("h1", { class: "display" }, "Status"), head), gone, body));

  async function look() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const told = await get("/v1/status", { signal: ending.signal });
      gone.textContent = "";
      fill(head, `Version ${told.version}, up for ${seconds((Date.parse(told.at) - Date.parse(told.started_at)) / 1000)}, as of ${clock(told.at)}`);
      // Nothing is drawn anew that says the same: a screen reader, a selection and a focus stay where they are.
      const now = JSON.stringify({ ...told, at: "" });
      if (now !== drawn) draw(body, told);
      drawn = now;
    } catch (error) {
      if (error.name === "AbortError") return;
      gone.textContent = error.message;
    }
    timer = setTimeout(look, EVERY);
  }
  document.addEventListener("visibilitychange", look, { signal: ending.signal });
  look();
  return () => {
    ending.abort();
    clearTimeout(timer);
  };
}

function draw(body, told) {
  const open = new Set([...body.querySelectorAll("details[open]")].map((each) => each.dataset.name));
  const at = document.activeElement?.closest?.("[data-name]")?.dataset.name;
  fill(body, pictures(told), classes(told), operations(told), caches(told), providers(told), errors(told));
  for (const each of body.querySelectorAll("details")) each.open = open.has(each.dataset.name);
  if (at) body.querySelector(`[data-name="${CSS.escape(at)}"] summary, a[data-name="${CSS.escape(at)}"]`)?.focus();
}

function pictures(told) {
  const made = sum(told.pictures, "made");
  const failed = sum(told.pictures, "failed");
  const said = `In the last hour ${plural(made, "picture")} made${failed ? `, ${count(failed)} failed` : ", none failed"}.`;
  const rows = told.pictures.map((each) => ({
    good: each.made, bad: each.failed, title: `${time(each.at)}: ${each.made} made, ${each.failed} failed`,
  }));
  const busy = told.pictures.filter((each) => each.made || each.failed);
  const panel = figure("Pictures a minute", said,
    bars(rows, { name: said }),
    h("div", { class: "bars-axis faint", "aria-hidden": "true" }, h("span", null, time(told.pictures[0].at)), h("span", null, time(told.pictures.at(-1).at))),
    details("pictures", "As a table", table(["Minute", "Made", "Failed"], busy.map((each) => [time(each.at), count(each.made), count(each.failed)]), "No minute of the last hour had any.")));
  panel.classList.add("panel-wide");
  return panel;
}

function classes(told) {
  const shown = told.classes.filter((each) => CLASSES[each.name] || each.running || each.queued);
  const rest = told.classes.filter((each) => !shown.includes(each));
  const said = `${plural(told.jobs.running, "job")} running, ${count(told.jobs.queued)} waiting.`;
  const row = (each) => h("li", { class: "line" },
    h("span", { class: "line-name" }, CLASSES[each.name] ?? each.name),
    seats(each.running, each.seats, each.queued),
    h("span", { class: "line-figure tabular" }, `${each.running} of ${plural(each.seats, "seat")}`));
  return figure("Seats", said,
    h("ul", { class: "lines" }, shown.map(row)),
    rest.length ? details("classes", "Behind the answers", h("ul", { class: "lines" }, rest.map(row))) : null);
}

function operations(told) {
  const most = Math.max(0.001, ...told.operations.map((each) => each.p95_s ?? 0));
  const said = told.operations.length ? "From the order to its end: half are faster than the bar, 19 of 20 than the line." : "Nothing was made in the last hour.";
  return figure("How long it takes", said, h("ul", { class: "lines" }, told.operations.map((each) => {
    const words = `half within ${seconds(each.p50_s)}, 95 % within ${seconds(each.p95_s)}`;
    return h("li", { class: "line" },
      h("span", { class: "line-name" }, each.name.replaceAll("_", " "), h("span", { class: "faint" }, ` ${count(each.count)}`)),
      span(each.p50_s, each.p95_s, most, `${each.name}: ${words}`),
      h("span", { class: "line-figure tabular" }, `${seconds(each.p50_s)} · ${seconds(each.p95_s)}`));
  })));
}

function providers(told) {
  const there = told.providers.filter((each) => each.configured);
  const missing = told.providers.filter((each) => !each.configured);
  const unwell = there.filter((each) => each.state && each.state !== "closed");
  const said = unwell.length ? `${plural(unwell.length, "provider")} not well: ${unwell.map((each) => each.name).join(", ")}.` : `${plural(there.length, "provider")}, all well.`;
  const panel = figure("Providers", said,
    h("div", { class: "table-box", tabindex: 0, role: "region", "aria-label": "Providers, in figures" },
      table(["Provider", "State", "Calls", "Failed", "p50", "p95", "Last error of the hour"], there.map((each) => [
        h("b", null, each.name), state(each.state), count(each.calls), each.failures ? h("span", { class: "bad" }, count(each.failures)) : "0",
        seconds(each.p50_s) || "–", seconds(each.p95_s) || "–",
        each.last_error ? h("span", { class: "clamp", title: each.last_error.detail }, h("code", null, each.last_error.code ?? ""), ` ${each.last_error.detail}`) : "–",
      ]), "No provider is set up.")),
    ...there.filter((each) => each.deployments.length > 1 || each.state !== "closed").map((each) => details(`provider ${each.name}`, `Deployments of ${each.name}`,
      h("ul", { class: "lines" }, each.deployments.map((one) => h("li", { class: "line" },
        h("span", { class: "line-name wide" }, one.target, h("span", { class: "faint" }, ` ${one.models.join(", ")}`)), state(one.state)))))),
    missing.length ? h("p", { class: "faint" }, `Not set up: ${missing.map((each) => each.name).join(", ")}.`) : null);
  panel.classList.add("panel-wide");
  return panel;
}

function caches(told) {
  const asked = told.caches[0] ? told.caches[0].hits + told.caches[0].misses : 0;
  const said = asked ? `${percent(told.caches[0])} of the pictures came straight from memory.` : "No picture was asked for yet.";
  return figure("Caches", said, h("ul", { class: "lines" }, told.caches.map((each) => {
    const all = each.hits + each.misses;
    const name = CACHES[each.name] ?? each.name;
    const words = all ? `${count(each.hits)} of ${count(all)} look-ups` : "not asked yet";
    return h("li", { class: "line" },
      h("span", { class: "line-name" }, name, each.bytes === null ? null : h("span", { class: "faint" }, ` ${bytes(each.bytes)}${each.max_bytes ? ` of ${bytes(each.max_bytes)}` : ""}`)),
      share(all ? each.hits / all : 0, `${name}: ${words}`),
      h("span", { class: "line-figure tabular" }, all ? percent(each) : "–"));
  }), h("li", { class: "line" }, h("span", { class: "line-name wide" }, "Waiting to be stored"), h("span", { class: "line-figure tabular" }, bytes(told.spool_bytes)))));
}

function errors(told) {
  const panel = figure("What went wrong of late", told.recent_errors.length ? null : "Nothing failed.",
    h("ol", { class: "errors" }, told.recent_errors.map((each) => h("li", null,
      h("span", { class: "error-mark" }, icon("alert")),
      h("div", null,
        h("p", null, h("code", null, each.code ?? "error"), h("span", { class: "faint" }, ` ${[each.model, each.provider && `at ${each.provider}`].filter(Boolean).join(" ")}`)),
        h("p", { class: "error-words" }, each.detail || "No more is known."),
        h("p", { class: "faint" }, h("time", { datetime: each.at, title: `${date(each.at)}, ${clock(each.at)}` }, ago(each.at)), " · ",
          h("a", { href: `/v1/generations/${each.generation_id}`, target: "_blank", rel: "noopener", data: { name: `${each.generation_id} ${each.asset_id}` } },
            "Generation", h("span", { class: "sr-only" }, ` ${each.generation_id} as JSON, in a new tab`))))))));
  panel.classList.add("panel-wide");
  return panel;
}

function state(name) {
  const [kind, words] = STATES[name] ?? ["soft", "Not used"];
  return h("span", { class: "state", data: { kind } }, words);
}

function details(name, words, ...children) {
  return h("details", { data: { name } }, h("summary", null, words), ...children);
}

function table(heads, rows, nothing) {
  if (!rows.length) return h("p", { class: "faint" }, nothing);
  return h("table", { class: "table tabular" },
    h("thead", null, h("tr", null, heads.map((each) => h("th", { scope: "col" }, each)))),
    h("tbody", null, rows.map(([first, ...rest]) => h("tr", null, h("th", { scope: "row" }, first), rest.map((each) => h("td", null, each))))));
}

const sum = (items, name) => items.reduce((all, each) => all + each[name], 0);
const percent = (cache) => `${Math.floor((cache.hits / (cache.hits + cache.misses)) * 100)} %`;
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clock = (text) => CLOCK.format(new Date(text));
