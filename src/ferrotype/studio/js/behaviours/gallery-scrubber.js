// A rail beside the gallery: where one is in time, and a way to any month of it.

import { fill, h } from "studio/lib/dom.js";
import { lastAtMost } from "studio/lib/justified.js";

const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric", timeZone: "UTC" });
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
// Pixels between two words on the rail.
const APART = 34;
// Screens below which a rail helps nobody.
const SHORT = 4;

export function scrubber(grid, list, { signal }) {
  const thumb = h("span", { class: "rail-thumb" });
  const word = h("span", { class: "rail-word" });
  const marks = h("span", { class: "rail-marks" });
  const element = h("div", {
    class: "rail", role: "slider", tabindex: 0, "aria-orientation": "vertical", "aria-label": "Go to a date", "aria-valuemin": 0, hidden: true,
  }, marks, thumb, word);
  let stops = [];
  let high = 1;
  let frame = 0;
  let hide = 0;

  function draw() {
    const { sections } = list;
    const long = new Set(sections.map((section) => section.date.slice(0, 7))).size > 2;
    const seen = new Set();
    stops = sections.flatMap(({ date }, index) => {
      const key = long ? date.slice(0, 7) : date;
      if (seen.has(key)) return [];
      seen.add(key);
      return [{ index, text: (long ? MONTH : DAY).format(new Date(date)), year: date.slice(0, 4), date }];
    });
    element.hidden = grid.layout.height < innerHeight * SHORT || stops.length < 2;
    element.setAttribute("aria-valuemax", Math.max(0, stops.length - 1));
    high = Math.max(1, element.clientHeight);
    let lastAt = -APART;
    let lastYear = "";
    fill(marks, stops.map((stop) => {
      const at = shareOf(grid.layout.sectionTop[stop.index]) * high;
      if (at - lastAt < APART && at > 0) return h("i", { style: { top: `${at}px` } });
      const text = long && stop.year !== lastYear ? stop.year : long ? MONTH.format(new Date(stop.date)).slice(0, 3) : stop.text;
      [lastAt, lastYear] = [at, stop.year];
      return h("span", { style: { top: `${at}px` } }, text);
    }));
    move();
  }

  /** 0 to 1: how far down the page that part of the gallery is at the top of the screen. */
  function shareOf(y) {
    return Math.min(1, Math.max(0, y / Math.max(1, grid.layout.height - grid.seen.high)));
  }

  function move() {
    frame = 0;
    if (element.hidden || !stops.length) return;
    // What the grid has seen in this frame: asking the page again would make it lay out in the middle of it.
    const y = grid.seen.top;
    thumb.style.transform = `translateY(${shareOf(y) * high}px)`;
    word.style.transform = `translateY(${shareOf(y) * high}px)`;
    const at = stops[currentStop(y)];
    if (word.textContent !== at.text) {
      word.textContent = at.text;
      element.setAttribute("aria-valuenow", stops.indexOf(at));
      element.setAttribute("aria-valuetext", at.text);
    }
  }

  function currentStop(y) {
    const section = lastAtMost(grid.layout.sectionTop, Math.max(0, y) + 80);
    return lastAtMost(stops.map((stop) => stop.index), section);
  }

  const goTo = (stop) => scrollTo({ top: grid.view.offset() + grid.layout.sectionTop[stop.index], behavior: "instant" });
  const drag = (event) => {
    const box = element.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    scrollTo({ top: grid.view.offset() + share * Math.max(0, grid.layout.height - innerHeight), behavior: "instant" });
  };

  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    element.dataset.held = "";
    drag(event);
  }, { signal });
  element.addEventListener("pointermove", (event) => { if ("held" in element.dataset) drag(event); }, { signal });
  for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, () => delete element.dataset.held, { signal });
  element.addEventListener("keydown", (event) => {
    const now = currentStop(scrollY - grid.view.offset());
    const to = { ArrowDown: now + 1, ArrowRight: now + 1, ArrowUp: now - 1, ArrowLeft: now - 1, PageDown: now + 3, PageUp: now - 3, Home: 0, End: stops.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    goTo(stops[Math.min(stops.length - 1, Math.max(0, to))]);
  }, { signal });
  addEventListener("scroll", () => {
    if (!frame) frame = requestAnimationFrame(move);
    if (!("moving" in element.dataset)) element.dataset.moving = "";
    clearTimeout(hide);
    hide = setTimeout(() => delete element.dataset.moving, 900);
  }, { passive: true, signal });
  addEventListener("resize", draw, { signal });
  return { element, draw };
}
