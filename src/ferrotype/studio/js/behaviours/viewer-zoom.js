// Zoom and pan of what a stage shows: wheel, pinch, double click, drag. Where nothing is zoomed a drag sideways is a
// swipe. The stage carries --zoom, --x and --y; its pictures follow them, two of them alike.

const MOST = 12;
const STEP = 1.4;
const SWIPE = 60;
const DOUBLE = 300;

export class Zoom {
  /** `swipe(way)`: -1 back, 1 on; `drop()`: swiped down; `zoomed(scale)` hears of every change of scale. */
  constructor(stage, { swipe, drop, zoomed, signal }) {
    Object.assign(this, { stage, swipe, drop, zoomed });
    this.fingers = new Map();
    this.tapped = 0;
    this.reset();
    const hear = (name, story, options = {}) => stage.addEventListener(name, story, { signal, ...options });
    hear("wheel", (event) => this.#wheel(event), { passive: false });
    hear("pointerdown", (event) => this.#down(event));
    hear("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) hear(name, (event) => this.#up(event));
    hear("dblclick", (event) => {
      if (!event.target.closest("button, input")) this.toggle(event.clientX, event.clientY);
    });
  }

  reset() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.#write();
  }

  /** By a factor, around a point of the window; around the middle without one. */
  by(factor, clientX, clientY) {
    const box = this.stage.getBoundingClientRect();
    const px = (clientX ?? box.left + box.width / 2) - box.left - box.width / 2;
    const py = (clientY ?? box.top + box.height / 2) - box.top - box.height / 2;
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const ratio = scale / this.scale;
    this.x = px - (px - this.x) * ratio;
    this.y = py - (py - this.y) * ratio;
    this.scale = scale;
    this.#write();
  }

  larger() { this.by(STEP); }
  smaller() { this.by(1 / STEP); }

  /** Fitted or twice and a half as large. */
  toggle(clientX, clientY) {
    if (this.scale > 1.01) this.reset();
    else this.by(2.5, clientX, clientY);
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#write();
  }

  #write() {
    const { stage } = this;
    if (this.scale <= 1) [this.x, this.y] = [0, 0];
    // Not farther than that some of the picture stays in sight.
    const [mx, my] = [(stage.clientWidth * (this.scale - 1)) / 2 + 40, (stage.clientHeight * (this.scale - 1)) / 2 + 40];
    this.x = Math.max(-mx, Math.min(mx, this.x));
    this.y = Math.max(-my, Math.min(my, this.y));
    stage.style.setProperty("--zoom", this.scale);
    stage.style.setProperty("--x", `${this.x}px`);
    stage.style.setProperty("--y", `${this.y}px`);
    stage.toggleAttribute("data-zoomed", this.scale > 1.01);
    this.zoomed?.(this.scale);
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.by(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0022)), event.clientX, event.clientY);
  }

  #down(event) {
    if (event.target.closest("button, input, a") || event.button) return;
    this.stage.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY, fromX: event.clientX, fromY: event.clientY });
    this.stage.toggleAttribute("data-held", true);
    this.two = this.fingers.size > 1;
  }

  #move(event) {
    const finger = this.fingers.get(event.pointerId);
    if (!finger) return;
    const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
    if (this.fingers.size === 2) {
      const other = [...this.fingers.values()].find((each) => each !== finger);
      const before = Math.hypot(finger.x - other.x, finger.y - other.y);
      const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      this.by(before ? after / before : 1, (event.clientX + other.x) / 2, (event.clientY + other.y) / 2);
      if (this.scale > 1.01) this.pan(dx / 2, dy / 2);
    } else if (this.scale > 1.01) this.pan(dx, dy);
    else this.stage.style.setProperty("--x", `${event.clientX - finger.fromX}px`);
    [finger.x, finger.y] = [event.clientX, event.clientY];
  }

  #up(event) {
    const finger = this.fingers.get(event.pointerId);
    if (!finger) return;
    this.fingers.delete(event.pointerId);
    if (this.fingers.size) return;
    this.stage.removeAttribute("data-held");
    if (this.scale > 1.01 || this.two) return void this.#write();
    const [dx, dy] = [event.clientX - finger.fromX, event.clientY - finger.fromY];
    this.#write();
    if (event.type === "pointercancel") return;
    if (Math.abs(dx) > SWIPE && Math.abs(dx) > 1.5 * Math.abs(dy)) this.swipe(dx < 0 ? 1 : -1);
    else if (event.pointerType !== "mouse" && dy > SWIPE * 1.6 && dy > 1.5 * Math.abs(dx)) this.drop();
    else if (event.pointerType !== "mouse" && Math.hypot(dx, dy) < 10) this.#tap(event);
  }

  #tap(event) {
    if (event.timeStamp - this.tapped < DOUBLE) this.toggle(event.clientX, event.clientY);
    this.tapped = event.timeStamp;
  }
}
