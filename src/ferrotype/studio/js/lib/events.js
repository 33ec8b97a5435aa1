// What happens on this account, live: one stream for the whole studio. `on("succeeded", story)`, or "*" for all.
// The stream resumes after the last number that it has seen, so nothing is missed while the network is away.

import { get, signIn } from "studio/lib/api.js";
import { signal } from "studio/lib/store.js";

const TYPES = ["snapshot", "queued", "started", "progress", "preview", "output", "ready", "enriched", "stored",
  "settled", "succeeded", "failed", "canceled", "lagged"];
const listeners = new Map();

/** "starting", "live" or "away". */
export const connection = signal("starting");

let source = null;
let last = null;
let timer = 0;
let tries = 0;

export function on(type, story) {
  if (!listeners.has(type)) listeners.set(type, new Set());
  listeners.get(type).add(story);
  return () => listeners.get(type).delete(story);
}

export function startEvents() {
  open();
  addEventListener("online", () => open());
  addEventListener("offline", () => { connection.value = "away"; });
  // Browsers allow six connections to a server: pages that nobody sees give theirs back.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(close, 60_000);
    else if (!source || source.readyState === EventSource.CLOSED) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function open() {
  close();
  const mine = source = new EventSource(`/v1/events${last === null ? "" : `?last_event_id=${last}`}`);
  source.onopen = () => { tries = 0; connection.value = "live"; };
  source.onerror = () => {
    if (mine !== source) return;
    connection.value = "away";
    // It comes back by itself after a lost connection, not after an answer that is no stream.
    if (mine.readyState === EventSource.CLOSED) again();
  };
  for (const type of TYPES) source.addEventListener(type, (message) => { if (mine === source) receive(type, message); });
}

async function again() {
  const wait = Math.min(15_000, 500 * 2 ** tries++);
  clearTimeout(timer);
  try {
    const session = await get("/studio/session");
    if (!session.signed_in) { await signIn(); tries = 0; return open(); }
  } catch { /* not there: later */ }
  timer = setTimeout(open, wait);
}

function receive(type, message) {
  if (message.lastEventId) last = Number(message.lastEventId);
  const event = JSON.parse(message.data);
  for (const story of [...(listeners.get(type) ?? []), ...(listeners.get("*") ?? [])]) {
    try { story(event); } catch (error) { console.error(error); }
  }
}

/** Begin anew after signing in. */
export function restartEvents() { last = null; open(); }
