// Which pictures are chosen. A range begins at the picture that was chosen last.

export class Selection {
  /** `list` has `slots`; `changed()` hears of every change. */
  constructor(list, changed) {
    this.list = list;
    this.changed = changed;
    this.count = 0;
    this.last = null;
  }

  /** The chosen slots, in the order of the list. */
  get slots() {
    return this.count ? this.list.slots.filter((each) => each.chosen) : [];
  }

  toggle(index) {
    const slot = this.list.slots[index];
    this.#set(slot, !slot.chosen);
    this.last = slot;
    this.changed();
  }

  /** From the one that was chosen last to this one; what is outside stays as it is. */
  extend(index) {
    const from = this.last ? this.list.slots.indexOf(this.last) : index;
    const start = from < 0 ? index : from;
    for (let i = Math.min(start, index); i <= Math.max(start, index); i++) this.#set(this.list.slots[i], true);
    this.last ??= this.list.slots[index];
    this.changed();
  }

  /** By Shift and the arrows: from the anchor to `index`; what `from` reached beyond is let go. */
  stretch(from, index) {
    this.last ??= this.list.slots[from];
    const start = this.list.slots.indexOf(this.last);
    const before = [Math.min(start, from), Math.max(start, from)];
    const now = [Math.min(start, index), Math.max(start, index)];
    for (let i = before[0]; i <= before[1]; i++) if (i < now[0] || i > now[1]) this.#set(this.list.slots[i], false);
    for (let i = now[0]; i <= now[1]; i++) this.#set(this.list.slots[i], true);
    this.changed();
  }

  /** These and no others. */
  only(chosen) {
    for (const each of this.list.slots) this.#set(each, chosen.has(each));
    this.changed();
  }

  all() {
    for (const each of this.list.slots) this.#set(each, true);
    this.changed();
  }

  /** A day's: chosen, or let go where all of them are. */
  section(first, end) {
    const slots = this.list.slots.slice(first, end);
    const on = slots.some((each) => !each.chosen);
    for (const each of slots) this.#set(each, on);
    this.changed();
  }

  clear() {
    for (const each of this.slots) this.#set(each, false);
    this.last = null;
    this.changed();
  }

  /** After the list has changed: what is gone is not chosen any more. */
  recount() {
    let count = 0;
    for (const each of this.list.slots) if (each.chosen) count++;
    this.count = count;
    if (this.last && !this.list.slots.includes(this.last)) this.last = null;
    this.changed();
  }

  #set(slot, on) {
    if (slot.chosen === on) return;
    slot.chosen = on;
    this.count += on ? 1 : -1;
  }
}
