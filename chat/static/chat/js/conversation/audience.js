/** How many watch the conversation by a live share link, as the server says every now and then. */

import { element } from "antiphon/lib/elements";
import { tn } from "antiphon/lib/texts";

const FORGET_MS = 75_000; // without news: the server that counted is gone

let timer = 0;

/** @param {number} watchers */
export function showAudience(watchers) {
  clearTimeout(timer);
  const mark = element("audience");
  mark.hidden = !watchers;
  mark.title = tn("One person watches by a share link", "{count} people watch by a share link", watchers);
  /** @type {HTMLElement} */ (mark.querySelector("span")).textContent = watchers ? tn("{count} watching", "{count} watching", watchers) : "";
  if (watchers) timer = setTimeout(() => showAudience(0), FORGET_MS);
}
