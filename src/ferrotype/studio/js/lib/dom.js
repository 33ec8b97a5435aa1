// Elements made of facts: text is only ever text. Nothing here, and nothing in the studio, parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** `h("button", {class: "button", onclick: run, "aria-label": "Close"}, "text", child, [more])`.
 *  Properties with `on` in front are listeners, `data` and `style` take objects, null and false leave one out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
  else if (name === "value" || name === "checked" || name === "indeterminate" || name === "selected") element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Put `children` in the place of all that an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

export function svg(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props ?? {})) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

let count = 0;
export const uid = (name = "x") => `${name}-${++count}`;

/** Call `story` once `wait` ms have passed without another call. */
export function debounce(story, wait) {
  let timer;
  const later = (...given) => { clearTimeout(timer); timer = setTimeout(story, wait, ...given); };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** Resolves once an element is on the screen or less than two thirds of one away. */
export const near = (element) => new Promise((resolve) => {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((each) => each.isIntersecting)) return;
    watch.disconnect();
    resolve();
  }, { rootMargin: "66% 0px" });
  watch.observe(element);
});
