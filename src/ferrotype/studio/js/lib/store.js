// Signals: a value that tells those who look at it when it changes. An effect runs again whenever a signal that it
// read has changed; effects that it made are ended before that. A scope ends all effects that were made in it.

let reader = null;
let owner = null;

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
  const self = { sources: new Set(), run }, inner = [];
  function leave() {
    for (const readers of self.sources) readers.delete(self);
    self.sources.clear();
    for (const stop of inner.splice(0)) stop();
  }
  function run() {
    leave();
    const before = [reader, owner];
    [reader, owner] = [self, inner];
    try { story(); } finally { [reader, owner] = before; }
  }
  const stop = () => { leave(); self.run = () => {}; };
  owner?.push(stop);
  run();
  return stop;
}

/** `run` makes effects that live until `stop`, whatever is read meanwhile. */
export function scope() {
  const stops = [];
  return {
    run(story) {
      const before = [reader, owner];
      [reader, owner] = [null, stops];
      try { return story(); } finally { [reader, owner] = before; }
    },
    stop() { for (const each of stops.splice(0)) each(); },
  };
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
