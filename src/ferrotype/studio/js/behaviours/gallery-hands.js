// Mouse, touch and keyboard on the grid. The grid has the focus itself; the active picture is named by it.

const PRESS = 450;
const SLACK = 10;

/** `open(index)` shows a picture, `remove()` asks to delete what is chosen. */
export function handle(grid, selection, { open, remove, signal }) {
  const { canvas, list } = grid;
  let press = 0;
  let pressed = null;
  let start = null;

  const slotAt = (event) => event.target.closest?.(".pic")?.item ?? null;
  const activate = (slot) => {
    grid.active = slot;
    grid.mark();
  };

  const click = (event) => {
    const day = event.target.closest?.("[data-day]");
    if (day) return chooseDay(day.dataset.day);
    const slot = slotAt(event);
    if (!slot) return undefined;
    const index = grid.indexOf(slot);
    activate(slot);
    if (pressed === slot) return (pressed = null);
    if (event.shiftKey) selection.extend(index);
    else if (event.ctrlKey || event.metaKey || selection.count || event.target.closest("[data-check]")) selection.toggle(index);
    else open(index);
    return undefined;
  };

  const chooseDay = (date) => {
    const section = list.sections.findIndex((each) => each.date === date);
    if (section >= 0) selection.section(grid.layout.sectionFirst[section], grid.layout.sectionFirst[section + 1]);
  };

  const down = (event) => {
    pressed = null;
    if (event.pointerType === "mouse") return;
    const slot = slotAt(event);
    if (!slot) return;
    start = [event.clientX, event.clientY];
    clearTimeout(press);
    press = setTimeout(() => {
      pressed = slot;
      navigator.vibrate?.(12);
      activate(slot);
      selection.toggle(grid.indexOf(slot));
    }, PRESS);
  };
  const letGo = () => clearTimeout(press);
  const move = (event) => {
    if (start && Math.hypot(event.clientX - start[0], event.clientY - start[1]) > SLACK) clearTimeout(press);
  };

  const key = (event) => {
    if (!list.length || event.altKey) return;
    const index = grid.indexOf(grid.active);
    const to = targetOf(event, index < 0 ? grid.firstInSight() : index, index < 0);
    if (to !== null) {
      event.preventDefault();
      const from = index < 0 ? to : index;
      grid.goTo(to);
      if (event.shiftKey) selection.stretch(from, to);
      return;
    }
    if (act(event, index)) event.preventDefault();
  };

  const targetOf = (event, index, fresh) => {
    const last = list.length - 1;
    const within = (value) => Math.max(0, Math.min(last, value));
    switch (event.key) {
      case "ArrowLeft": return fresh ? index : within(index - 1);
      case "ArrowRight": return fresh ? index : within(index + 1);
      case "ArrowUp": return fresh ? index : grid.below(index, -1);
      case "ArrowDown": return fresh ? index : grid.below(index, 1);
      case "PageUp": return pages(index, -1);
      case "PageDown": return pages(index, 1);
      case "Home": return 0;
      case "End": return last;
      default: return null;
    }
  };
  const pages = (index, way) => {
    let to = index;
    for (let left = grid.rows; left > 0; left--) to = grid.below(to, way);
    return to;
  };

  const act = (event, index) => {
    const key = event.key.toLowerCase();
    if (key === "a" && (event.ctrlKey || event.metaKey)) selection.all();
    else if (event.ctrlKey || event.metaKey) return false;
    else if (key === " " && index >= 0) {
      if (event.shiftKey) selection.extend(index);
      else selection.toggle(index);
    } else if (key === "enter" && index >= 0) open(index);
    else if (key === "escape" && selection.count) selection.clear();
    else if (key === "delete" && (selection.count || index >= 0)) remove(index);
    else return false;
    return true;
  };

  canvas.addEventListener("click", click, { signal });
  canvas.addEventListener("pointerdown", down, { signal });
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) canvas.addEventListener(name, letGo, { signal });
  canvas.addEventListener("pointermove", move, { passive: true, signal });
  canvas.addEventListener("contextmenu", (event) => { if (pressed) event.preventDefault(); }, { signal });
  canvas.addEventListener("keydown", key, { signal });
  canvas.addEventListener("focus", () => {
    if (!grid.active && list.length && canvas.matches(":focus-visible")) activate(list.slots[grid.firstInSight()]);
  }, { signal });
}
