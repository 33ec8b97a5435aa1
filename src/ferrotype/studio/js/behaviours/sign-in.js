// The API key, asked for where one is needed. What was under way goes on behind the dialog.

import { call, del, get } from "studio/lib/api.js";
import { signal } from "studio/lib/store.js";
import { openDialog } from "studio/lib/dialogs.js";
import { h } from "studio/lib/dom.js";
import { restartEvents } from "studio/lib/events.js";

/** What the server says of this browser: {signed_in, needs_key}; null until it was asked. */
export const session = signal(null);

export async function readSession() {
  try {
    session.value = await get("/studio/session");
  } catch { /* away: whoever calls next finds out */ }
  return session.peek();
}

/** Returns once the key was right. */
export function askForKey() {
  return new Promise((done) => {
    const again = session.peek()?.signed_in;
    const problem = h("p", { class: "problem", id: "sign-in-problem", role: "alert" });
    const input = h("input", { class: "input", id: "sign-in-key", type: "password", name: "key", autocomplete: "current-password",
      required: true, spellcheck: "false", "aria-describedby": "sign-in-problem" });
    const button = h("button", { class: "button", type: "submit", form: "sign-in", data: { kind: "main" } }, "Sign in");
    const form = h("form", { id: "sign-in", class: "field", onsubmit: submit },
      h("label", { class: "label", for: "sign-in-key" }, "API key"),
      // Password managers want a name beside the key.
      h("input", { type: "text", name: "username", value: "ferrotype", autocomplete: "username", hidden: true }),
      input, problem);
    async function submit(event) {
      event.preventDefault();
      button.disabled = true;
      problem.textContent = "";
      input.removeAttribute("aria-invalid");
      try {
        await call("POST", "/studio/session", { key: input.value });
        session.value = { signed_in: true, needs_key: true };
        dialog.close();
        done();
        if (again) restartEvents();
      } catch (error) {
        const wait = error.problem?.retry_after;
        problem.textContent = wait ? `${error.message} (${Math.ceil(wait)} s)` : error.message;
        input.setAttribute("aria-invalid", "true");
        input.select();
        input.focus();
      } finally {
        button.disabled = false;
      }
    }
    const dialog = openDialog({
      title: again ? "Sign in again" : "Sign in",
      kind: "dialog-sign-in",
      width: "420px",
      closable: false,
      body: [
        h("p", { class: "soft" }, again
          ? "Your session has ended. Nothing that you typed is lost: it goes on once you are back."
          : "This server asks for its API key once. Your browser then keeps a session, not the key."),
        form,
      ],
      foot: [button],
    });
    input.focus();
  });
}

export async function signOut() {
  await del("/studio/session");
  location.assign("/studio");
}
