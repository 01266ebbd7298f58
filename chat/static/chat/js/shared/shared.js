/** The page of a live share: follows its stream of server-sent events (docs/protocol.md §6). */

import { t } from "antiphon/lib/texts";
import { listenToParts } from "antiphon/shared/parts";
import { SharedMessages } from "antiphon/shared/messages";

const stream = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("stream")).textContent ?? "{}");
const state = /** @type {HTMLElement} */ (document.getElementById("state"));
const title = /** @type {HTMLElement} */ (document.getElementById("title"));
const messages = new SharedMessages(/** @type {HTMLElement} */ (document.getElementById("transcript")));
const ENDED = t("This link no longer works.");
const FIRST_WAIT = 2_000;
const LONGEST_WAIT = 60_000;

let last = /** @type {string} */ (stream.last);
let wait = FIRST_WAIT;
/** @type {EventSource | null} */
let source = null;

/** @param {"live" | "away" | "ended"} name @param {string} words */
function show(name, words) {
  state.dataset.state = name;
  if (state.textContent !== words) state.textContent = words;
}

function address() {
  const query = new URLSearchParams({ last });
  if (stream.key) query.set("key", stream.key);
  return `${stream.url}?${query}`;
}

function open() {
  source?.close();
  source = new EventSource(address());
  source.addEventListener("open", () => {
    wait = FIRST_WAIT;
    show("live", t("Live"));
  });
  source.addEventListener("message", (event) => apply(event));
  source.addEventListener("snapshot", (event) => apply(/** @type {MessageEvent} */ (event)));
  source.addEventListener("end", () => finish());
  source.addEventListener("error", () => {
    show("away", t("Connecting…"));
    if (source?.readyState === EventSource.CLOSED) askWhy(); // the browser does not try again by itself
  });
}

function finish() {
  source?.close();
  show("ended", ENDED);
}

async function askWhy() {
  try {
    const answer = await fetch(address(), { method: "HEAD", cache: "no-store" });
    if (answer.status === 404 || answer.status === 403) return finish();
  } catch {
    // not reached: tried again below
  }
  setTimeout(open, wait * (0.5 + Math.random()));
  wait = Math.min(wait * 2, LONGEST_WAIT);
}

/** @param {MessageEvent} event */
function apply(event) {
  if (event.lastEventId) last = event.lastEventId;
  const low = innerHeight + scrollY > document.documentElement.scrollHeight - 120; // the reader is at the end
  const body = JSON.parse(event.data);
  if (body.type === "snapshot" || body.type === "conversation.updated") showTitle(body.title);
  if (!messages.apply(body)) {
    last = ""; // text before this event is missing
    open();
    return;
  }
  if (low) scrollTo({ top: document.documentElement.scrollHeight });
}

/** @param {string} words */
function showTitle(words) {
  title.textContent = words || t("Conversation");
  document.title = `${title.textContent} · Antiphon`;
}

listenToParts(document.body);
open();
