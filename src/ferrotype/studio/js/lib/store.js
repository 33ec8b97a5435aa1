// Signals: a value that tells those who look at it when it changes. An effect runs again whenever a signal that it
// read has changed; `untracked` reads without being told.

let reader = null;

export function signal(value) {
  const readers = new Set();
  return {
    get value() {
      if (reader) { readers.add(reader); reader.sources.add(readers); }
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const each of [...readers]) each.run();
    },
    peek: () => value,
  };
}

export function effect(story) {
  const self = { sources: new Set(), run };
  function run() {
    for (const readers of self.sources) readers.delete(self);
    self.sources.clear();
    const outer = reader;
    reader = self;
    try { story(); } finally { reader = outer; }
  }
  run();
  return () => { for (const readers of self.sources) readers.delete(self); self.run = () => {}; };
}

/** JSON in sessionStorage or localStorage; a browser that allows neither just forgets. */
export function kept(storage, name) {
  return {
    read() { try { return JSON.parse(window[storage].getItem(name)); } catch { return null; } },
    write(value) {
      try {
        if (value === null) window[storage].removeItem(name);
        else window[storage].setItem(name, JSON.stringify(value));
      } catch { /* no room, or not allowed */ }
    },
  };
}
