// What of a long canvas is near the viewport. Reads the page's geometry only when it can have changed, never
// while it scrolls, so that a scroll costs no layout.

// Faster than so many screens a second nothing new is loaded: it would be gone before it is there.
const RUSH = 6;
// Milliseconds without a scroll after which it rests.
const REST = 90;

/**
 * Call `show(top, bottom, {rush})` with the canvas's pixels that are in or near the viewport, whenever they change:
 * at most once a frame. `margin`: screens above and below. Ends with `signal`.
 */
export function watchViewport(canvas, { show, margin = 0.75, signal }) {
  let frame = 0;
  let rest = 0;
  let offset = 0;
  let high = innerHeight;
  let lastY = scrollY;
  let lastAt = 0;

  const measure = () => {
    offset = canvas.getBoundingClientRect().top + scrollY;
    high = innerHeight;
  };
  const update = (at, resting) => {
    frame = 0;
    const y = scrollY;
    const speed = lastAt && at > lastAt ? (Math.abs(y - lastY) / high / (at - lastAt)) * 1000 : 0;
    [lastY, lastAt] = [y, at];
    const rush = !resting && speed > RUSH;
    const around = high * margin;
    show(y - offset - around, y - offset + high + around, { rush, top: y - offset, high });
    if (rush) {
      clearTimeout(rest);
      rest = setTimeout(() => schedule(true), REST);
    }
  };
  const schedule = (resting = false) => {
    if (!frame) frame = requestAnimationFrame((at) => update(at, resting));
  };
  const remeasure = () => {
    measure();
    schedule(true);
  };

  addEventListener("scroll", () => schedule(), { passive: true, signal });
  addEventListener("resize", remeasure, { signal });
  const sizes = new ResizeObserver(remeasure);
  sizes.observe(canvas.parentElement);
  sizes.observe(document.body.firstElementChild ?? document.body);
  signal.addEventListener("abort", () => {
    sizes.disconnect();
    cancelAnimationFrame(frame);
    clearTimeout(rest);
  });
  measure();
  return {
    refresh: () => schedule(true),
    /** Where the canvas begins on the page, in pixels. */
    offset: () => offset,
    remeasure: measure,
  };
}
