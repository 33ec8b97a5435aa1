// A line under the bar while the server cannot be reached.

import { one } from "studio/lib/dom.js";
import { connection } from "studio/lib/events.js";
import { effect } from "studio/lib/store.js";
import { announce } from "studio/lib/toast.js";

export function watchConnection() {
  const notice = one("[data-notice]");
  let timer = 0;
  effect(() => {
    const state = connection.value;
    clearTimeout(timer);
    if (state === "away") {
      // A stream that is back within a second is no news.
      timer = setTimeout(() => {
        notice.textContent = navigator.onLine
          ? "The server cannot be reached. What is under way goes on there; this page catches up by itself."
          : "You are offline. This page catches up by itself once the network is back.";
        notice.hidden = false;
      }, navigator.onLine ? 1000 : 0);
    } else if (!notice.hidden) {
      notice.hidden = true;
      announce("Connected again");
    }
  });
}
