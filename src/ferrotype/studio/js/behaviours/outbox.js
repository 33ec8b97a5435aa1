// Orders on their way. Each has an idempotency key and is kept until the server has answered: one whose answer was
// lost, or that a reload cut off, is sent again with the same key, and the server knows it and makes nothing twice.

import { NoAnswer, post } from "studio/lib/api.js";
import { kept } from "studio/lib/store.js";

const memory = kept("sessionStorage", "ferrotype.outbox");
const under = new Map();
/** How often an order is sent to a server that has too much to do. */
const PATIENCE = 12;

export const newKey = () => `studio-${[...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("")}`;

const keep = () => memory.write(under.size ? [...under.values()] : null);

/** What an earlier page left behind: [{key, path, body}]. */
export const leftOver = () => memory.read() ?? [];

/** The server's answer to `order`; waits through lost connections as long as it takes. Raises ApiProblem where
 *  the server refused it. `onwaiting` is told each time when no answer came. */
export async function send({ key, path, body }, onwaiting) {
  under.set(key, { key, path, body });
  keep();
  try {
    for (let tries = 0; ; tries++) {
      try {
        return await post(path, body, { headers: { "Idempotency-Key": key, Prefer: "respond-async" } });
      } catch (error) {
        // A server that stops says so, and is back soon.
        const busy = error.problem?.code === "overloaded" && tries < PATIENCE;
        if (!(error instanceof NoAnswer || busy)) throw error;
        onwaiting?.();
        await comeBack(busy ? (error.problem.retry_after ?? 2) * 1000 : Math.min(10_000, 400 * 2 ** tries));
      }
    }
  } finally {
    under.delete(key);
    keep();
  }
}

/** Whether the server may know of orders that this page cannot tell yet. */
export const busy = () => under.size > 0;

function comeBack(wait) {
  return new Promise((done) => {
    const timer = setTimeout(go, wait);
    addEventListener("online", go);
    function go() { clearTimeout(timer); removeEventListener("online", go); done(); }
  });
}
