// Native dialogs: the browser keeps the focus inside and gives it back.

import { h, uid } from "studio/lib/dom.js";
import { icon } from "studio/lib/icons.js";

/** A modal dialog that is removed once it is closed. `body` and `foot` are lists of children.
 *  `closable: false` leaves out the cross and ignores Escape. */
export function openDialog({ title, body = [], foot = null, width = null, kind = "", closable = true, onclose = null }) {
  const id = uid("dialog");
  const dialog = h("dialog", { class: `dialog ${kind}`, "aria-labelledby": id, style: width ? { "--dialog-width": width } : null },
    h("div", { class: "dialog-head" },
      h("h2", { id }, title),
      closable && h("button", { class: "icon-button", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
    h("div", { class: "dialog-body" }, body),
    foot && h("div", { class: "dialog-foot" }, foot));
  dialog.addEventListener("cancel", (event) => { if (!closable) event.preventDefault(); });
  dialog.addEventListener("pointerdown", (event) => {
    if (!closable || event.target !== dialog) return;
    const box = dialog.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) dialog.close();
  });
  dialog.addEventListener("close", () => { onclose?.(dialog.returnValue); dialog.remove(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask; true when it was confirmed. */
export function confirm({ title, text, yes, danger = false }) {
  return new Promise((done) => {
    const dialog = openDialog({
      title,
      body: [h("p", { class: "soft" }, text)],
      foot: [
        h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Keep it"),
        h("button", { class: "button", type: "button", data: { kind: danger ? "danger" : "main" }, onclick: () => dialog.close("yes") }, yes),
      ],
      onclose: (value) => done(value === "yes"),
    });
  });
}
