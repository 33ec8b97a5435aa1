// What the order would cost and how long it would take, before it is placed.

import { ApiProblem, post } from "studio/lib/api.js";
import { debounce, fill, h } from "studio/lib/dom.js";
import { credits, seconds, usd } from "studio/lib/format.js";
import { effect, signal } from "studio/lib/store.js";
import { connection, on } from "studio/lib/events.js";
import { orderOf } from "studio/behaviours/draft.js";

/** The words of an estimate: "4 credits · $0.012 · about 6 s". */
export function told(estimate) {
  const time = estimate.seconds?.all;
  const ahead = estimate.queue?.ahead;
  return [credits(estimate.credits), usd(estimate.usd), time ? `about ${seconds(time)}` : "", ahead ? `${ahead} ahead` : ""].filter(Boolean).join(" · ");
}

/** Ask anew whenever what costs has changed; the words of the prompt do not. Where the server cannot tell, the
 *  model's price does. Returns a signal. */
export function watchEstimate(form) {
  const estimate = signal(null), measured = signal(0);
  estimate.stop = on("succeeded", () => { before = ""; measured.value++; }); // times are known better now
  let turn = 0, before = "";
  const ask = debounce(async (order) => {
    const mine = ++turn;
    try {
      const found = await post("/v1/estimates", order);
      if (mine === turn) estimate.value = found;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      before = ""; // the next change asks again
    }
  }, 200);
  effect(() => {
    form.draft.value; connection.value; measured.value;
    const model = form.model.value;
    if (!model) { estimate.value = null; return; }
    const order = orderOf(form);
    if (order.prompt !== undefined) order.prompt = "estimate";
    delete order.negative_prompt;
    const now = JSON.stringify(order);
    if (now === before) return;
    before = now;
    estimate.value = { credits: model.price.credits * order.num_images, usd: model.price.usd * order.num_images, sufficient: true };
    const { images: { min }, mask } = form.shows.peek();
    if ((order.images ?? []).length >= min && (mask !== "required" || order.mask)) ask(order);
  });
  return estimate;
}

export function estimateLine(estimate) {
  const line = h("p", { class: "estimate tabular", role: "status" });
  effect(() => {
    const now = estimate.value;
    fill(line, now && [h("span", null, told(now)), now.sufficient === false && h("span", { class: "estimate-short" }, "Not enough credits")]);
  });
  return line;
}
