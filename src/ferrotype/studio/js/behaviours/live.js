// The orders of this account as they are now: what the server lists, kept true by its events. Every tab sees the same.
// An entry is {key, batchId, data: signal(envelope), previews: signal({index: data URI})}; a batch is {key, data, items}.

import { ApiProblem, get, post } from "studio/lib/api.js";
import { on } from "studio/lib/events.js";
import { plural } from "studio/lib/format.js";
import { signal } from "studio/lib/store.js";
import { announce, toastProblem } from "studio/lib/toast.js";
import { busy, leftOver, newKey, send } from "studio/behaviours/outbox.js";

const SHOWN = 40;
/** Items of a batch that its envelope carries; of the others only the counts are followed. */
const ITEMS = 100;
const ENDED = new Set(["succeeded", "failed", "canceled"]);
export const hasEnded = (data) => ENDED.has(data.status);

/** Newest first: generations that stand alone, and batches. */
export const feed = signal([]);
/** False until the server's list is here. */
export const listed = signal(false);
/** Counts seconds while something is under way: times to wait are shown by it. */
export const tick = signal(0);

const generations = new Map();
const batches = new Map();
const fetching = new Map();
let ticking = 0;

export const generationEntry = (id) => generations.get(id);

function makeEntry(data) {
  return { key: data.id ?? data.key, batchId: data.batch_id ?? null, data: signal(data), previews: signal({}), at: performance.now() };
}

/** Take in an envelope; what is newer wins. */
function take(envelope) {
  let entry = generations.get(envelope.id);
  if (entry) {
    if (!(hasEnded(entry.data.peek()) && !hasEnded(envelope))) {
      entry.at = performance.now();
      entry.data.value = { ...envelope, output: merged(entry.data.peek().output, envelope.output) };
    }
  } else {
    entry = makeEntry(envelope);
    generations.set(envelope.id, entry);
    if (!envelope.batch_id) place(entry);
  }
  if (envelope.batch_id) batches.get(envelope.batch_id)?.changed(envelope);
  tickOn();
  return entry;
}

const RANK = { arriving: 0, ready: 1, failed: 1 };
function merged(before, after) {
  return after.map((asset) => {
    const old = before.find((each) => each.id === asset.id);
    return old && RANK[old.state] > RANK[asset.state] ? old : asset;
  });
}

function place(entry) {
  const created = (each) => each.data.peek().created_at;
  const rest = feed.peek().filter((each) => each !== entry);
  const at = rest.findIndex((each) => created(each) <= created(entry));
  feed.value = at < 0 ? [...rest, entry] : [...rest.slice(0, at), entry, ...rest.slice(at)];
}

const drop = (entry) => { feed.value = feed.peek().filter((each) => each !== entry); };

// ---- ordering

/** Place an order: its card is there at once. Raises ApiProblem, and then the card is gone again. */
export async function order(body, { key = newKey(), path = "/v1/generations", shown = body, created = new Date().toISOString() } = {}) {
  const entry = makeEntry({
    key, id: null, status: "sending", operation: shown.operation ?? "generate", model: shown.model, output: [], error: null, progress: null,
    input: { ...shown }, queue_position: null, eta_s: null, created_at: created, batch_id: null,
  });
  place(entry);
  try {
    const envelope = await send({ key, path, body }, () => { entry.data.value = { ...entry.data.peek(), status: "unsent" }; });
    const known = generations.get(envelope.id);
    if (known) drop(known); // its events came first
    entry.key = envelope.id;
    generations.set(envelope.id, entry);
    entry.data.value = envelope;
    if (known && known.data.peek().status !== "queued") take(known.data.peek());
    tickOn();
    if (!hasEnded(envelope)) later(envelope.id);
    return envelope;
  } catch (error) {
    drop(entry);
    throw error;
  }
}

/** Place a batch; its sheet is there once the server has it. */
export async function orderBatch(body, { key = newKey() } = {}) {
  const batch = takeBatch(await send({ key, path: "/v1/batches", body }));
  return batch;
}

export async function cancel(entry) {
  const data = entry.data.peek();
  const path = data.object === "batch" ? `/v1/batches/${data.id}/cancel` : `/v1/generations/${data.id}/cancel`;
  try {
    const envelope = await post(path);
    if (envelope.object === "batch") takeBatch(envelope); else take(envelope);
  } catch (error) { toastProblem(error); }
}

/** The same order once more. */
export function again(entry) {
  const data = entry.data.peek();
  return order({}, { path: `/v1/generations/${data.id}/fresh`, shown: { ...data.input, operation: data.operation, model: data.model } }).catch(toastProblem);
}

export async function retryBatch(entry) {
  try {
    return takeBatch(await post(`/v1/batches/${entry.data.peek().id}/retry`, {}, { headers: { Prefer: "respond-async", "Idempotency-Key": newKey() } }));
  } catch (error) { toastProblem(error); return null; }
}

// ---- batches

export function takeBatch(envelope) {
  let batch = batches.get(envelope.id);
  if (!batch) {
    batch = { key: envelope.id, batch: true, data: signal(envelope), items: signal([]), changed: () => {} };
    batch.changed = (generation) => {
      const at = generation.batch_index;
      const items = batch.items.peek();
      const entry = generations.get(generation.id);
      if (items[at] && items[at].entry !== entry) batch.items.value = items.map((each, index) => index === at ? { ...each, entry } : each);
      if (!items[at] && at < ITEMS) look(batch);
    };
    batches.set(envelope.id, batch);
    place(batch);
  } else {
    batch.data.value = { ...batch.data.peek(), ...envelope, items: undefined };
  }
  if (envelope.items) {
    batch.items.value = envelope.items.map((item) => ({ ...item, generation: null, entry: item.generation ? take(item.generation) : null }));
  } else if (!batch.items.peek().length) look(batch);
  tickOn();
  return batch;
}

function look(batch) {
  return once(`batch ${batch.key}`, async () => takeBatch(await get(`/v1/batches/${batch.key}`)));
}

/** Counts of a batch change with each of its generations: asked for at most twice a second. */
const stale = new Set();
let refreshing = 0;
function refresh(batchId) {
  if (!batchId || !batches.has(batchId)) return;
  stale.add(batchId);
  refreshing ||= setTimeout(async () => {
    refreshing = 0;
    const ids = [...stale];
    stale.clear();
    for (const id of ids) await look(batches.get(id));
  }, 500);
}

// ---- looking

async function once(name, story) {
  if (!fetching.has(name)) fetching.set(name, story().catch((error) => { if (!(error instanceof ApiProblem)) throw error; }).finally(() => fetching.delete(name)));
  return fetching.get(name);
}

const later = (id) => once(id, async () => take(await get(`/v1/generations/${id}`)));

/** A generation that this page does not know: ordered in another tab, or here and its answer is on its way. */
function unknown(id, batchId) {
  if (batchId && batches.get(batchId)?.data.peek().num_items > ITEMS) { refresh(batchId); return null; }
  if (batchId) return batches.has(batchId) ? later(id) : once(`batch ${batchId}`, async () => takeBatch(await get(`/v1/batches/${batchId}`)));
  if (busy()) { setTimeout(() => { if (!generations.has(id)) unknown(id, batchId); }, 300); return null; }
  return later(id);
}

async function list() {
  const [page, groups] = await Promise.all([
    get(`/v1/generations?limit=${SHOWN}`),
    get("/v1/batches?limit=8").catch(() => ({ data: [] })),
  ]);
  for (const batch of groups.data) takeBatch(batch);
  for (const generation of page.data) take(generation);
  listed.value = true;
}

// ---- events

function change(event, patch) {
  const entry = generations.get(event.generation_id);
  if (!entry) return event.type === "progress" || event.type === "preview" ? null : unknown(event.generation_id, event.batch_id);
  const before = entry.data.peek();
  if (hasEnded(before) && !patch.output) return entry;
  entry.data.value = { ...before, ...patch };
  return entry;
}

function withAsset(event) {
  const entry = generations.get(event.generation_id);
  if (!event.asset || !entry) return change(event, {});
  const output = entry.data.peek().output.filter((each) => each.id !== event.asset.id);
  const asset = merged(entry.data.peek().output, [event.asset])[0];
  return change(event, { output: [...output, asset].sort((a, b) => a.index - b.index) });
}

let started = false;
export function startLive() {
  if (started) return;
  started = true;
  on("snapshot", (event) => {
    for (const batch of event.batches ?? []) takeBatch(batch);
    for (const generation of event.generations ?? []) take(generation);
    // What was under way when the connection went and is no longer: how did it end?
    const open = new Set((event.generations ?? []).map((each) => each.id));
    for (const [id, entry] of generations) if (!hasEnded(entry.data.peek()) && !open.has(id)) later(id);
    for (const [id, batch] of batches) if (!hasEnded(batch.data.peek()) && !(event.batches ?? []).some((each) => each.id === id)) look(batch);
  });
  on("*", (event) => {
    if (event.generation_id) return;
    if (event.batch) takeBatch(event.batch);
    else if (event.batch_id && !batches.has(event.batch_id)) unknown(null, event.batch_id);
    else refresh(event.batch_id);
  });
  on("queued", (event) => { if (event.generation_id) change(event, { queue_position: event.position ?? null }); });
  on("started", (event) => { if (event.generation_id) change(event, { status: "running", queue_position: null }); });
  on("progress", (event) => { if (event.generation_id) change(event, { status: "running", progress: Math.max(event.progress, generations.get(event.generation_id)?.data.peek().progress ?? 0) }); });
  on("preview", (event) => {
    const entry = generations.get(event.generation_id);
    if (entry) entry.previews.value = { ...entry.previews.peek(), [event.index]: event.data_uri };
  });
  for (const type of ["output", "ready", "enriched", "stored"]) on(type, withAsset);
  for (const type of ["succeeded", "failed", "canceled"]) on(type, (event) => {
    if (!event.generation_id) return;
    if (event.asset) { withAsset(event); return; }
    if (event.generation) ended(take(event.generation)); else later(event.generation_id);
    refresh(event.batch_id);
  });
  list().catch((error) => { listed.value = true; toastProblem(error); });
  for (const { key, path, body } of leftOver()) {
    if (path === "/v1/batches") orderBatch(body, { key }).catch(toastProblem);
    else order(body, { key, path }).catch(toastProblem);
  }
}

function ended(entry) {
  const { status, output, input } = entry.data.peek();
  const words = input.prompt ? `: ${input.prompt.slice(0, 80)}` : "";
  if (status === "succeeded") announce(`${plural(output.length, "picture")} finished${words}`);
  else if (status === "failed") announce(`An order failed${words}`);
}

const open = () => [...generations.values(), ...batches.values()].some((entry) => !hasEnded(entry.data.peek()));
function tickOn() {
  if (ticking || !open()) return;
  ticking = setInterval(() => {
    tick.value++;
    if (!open()) { clearInterval(ticking); ticking = 0; }
  }, 1000);
}
