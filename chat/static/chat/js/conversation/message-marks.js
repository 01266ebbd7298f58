/** What stands beside a message: its time, that it was edited or deleted, how the reader rated it, what it cost. */

import { leftOut } from "antiphon/conversation/parameter-words";
import { isolate } from "antiphon/lib/names";
import { LOCALE, oneDigit, t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/wire/protocol").Message} Message */

/** @type {{currency?: string}} */
const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");

const FILE = /\.(?:gguf|ggml|bin|safetensors|onnx|pth?|llamafile)$/i;
const PATH = /^(?:[/\\~]|\.{1,2}[/\\]|[A-Za-z]:[/\\])/;
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
const WHOLE = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "short" });

/** @param {HTMLTimeElement} place @param {string} moment in ISO 8601; empty: not known @param {boolean} [isEdit] */
function showTime(place, moment, isEdit = false) {
  const at = new Date(moment);
  if (!moment || Number.isNaN(at.getTime())) return;
  place.dateTime = moment;
  place.title = isEdit ? t("Edited {time}", { time: WHOLE.format(at) }) : WHOLE.format(at);
  place.textContent = (at.toDateString() === new Date().toDateString() ? CLOCK : DAY).format(at);
}

/**
 * Shows the marks of a message; those of one that the server put into the page are in the reader's time zone from here on.
 * @param {MessageView} view @param {Message} [message]
 */
export function showChanges(view, message) {
  const { element } = view;
  const time = /** @type {HTMLTimeElement | null} */ (element.querySelector(".message-time"));
  const edited = /** @type {HTMLElement | null} */ (element.querySelector(".message-edited"));
  if (message) {
    element.toggleAttribute("data-deleted", Boolean(message.deleted_at));
    element.dataset.edited = message.edited_at ?? "";
    if (edited) edited.hidden = !message.edited_at;
  }
  if (time) showTime(time, message?.created_at ?? time.dateTime);
  const at = /** @type {HTMLTimeElement | null} */ (edited?.querySelector("time") ?? null);
  if (at) showTime(at, message?.edited_at ?? at.dateTime, true);
}

/** @param {MessageView} view @param {number} value 1, -1, or 0: not rated */
export function showRating(view, value) {
  view.element.dataset.rated = String(value);
  for (const button of view.element.querySelectorAll("[data-action=rate]")) {
    button.ariaPressed = String(Number(/** @type {HTMLElement} */ (button).dataset.value) === value);
  }
}

/**
 * Model, time, tokens and cost below an answer, as `meta` in chat_page.py renders them.
 * @param {MessageView} view @param {Partial<import("antiphon/wire/protocol").Run>} run
 * @param {import("antiphon/wire/protocol").Usage} [sum] of all runs, where there are several
 */
export function describeAnswer(view, run, sum) {
  const place = view.element.querySelector(".message-meta");
  const usage = sum ?? run.usage;
  const tokens = usage?.output_tokens;
  const milliseconds = sum ? sum.total_ms : run.timing?.total_ms;
  const parts = [fileName(run.model ?? "")];
  if (milliseconds) parts.push(t("{seconds} s", { seconds: oneDigit(milliseconds / 1000) }));
  if (tokens) parts.push(`${usage?.estimated ? "≈ " : ""}${tn("{count} token", "{count} tokens", tokens)}`);
  parts.push(costOf(usage?.cost ?? view.cost));
  if (run.parameters?.dropped) parts.push(leftOut(run.parameters.dropped));
  if (run.trace) parts.push(t("error {id}", { id: run.trace }));
  if (place) place.textContent = parts.filter(Boolean).map(isolate).join(" · ");
}

/**
 * The last part, without its extension, of a model's name that is a path or a file, as llama.cpp's server has it; any other
 * name as it is. Kept level with `file_name` of chat/catalog/model_names.py. @param {string} name
 */
export function fileName(name) {
  const short = name.replace(/[\\/]+$/, "").split(/[\\/]/).at(-1)?.replace(FILE, "");
  return (PATH.test(name) || FILE.test(name)) && short ? short : name;
}

/** What an answer cost the reader, who pays for it. @param {MessageView} view @param {string} cost */
export function showCost(view, cost) {
  view.cost = cost;
  const place = view.element.querySelector(".message-meta");
  const words = costOf(cost);
  if (place?.textContent && words && !place.textContent.includes(words)) place.textContent += ` · ${words}`;
}

/** An amount as the server writes it: two decimal places, or four or six of a small one. @param {string | null | undefined} cost */
export function costOf(cost) {
  if (cost === null || cost === undefined || !PAGE.currency) return "";
  const amount = Number(cost);
  const places = amount === 0 || Math.abs(amount) >= 1 ? 2 : Math.abs(amount) >= 0.001 ? 4 : 6;
  return `${amount.toFixed(places)}\u202f${PAGE.currency}`;
}

/**
 * Which of several versions of a message this one is, and whether there are others before and after it.
 * @param {HTMLElement} element @param {string[]} versions ids, oldest first @param {number} place of this one
 */
export function showVersions(element, versions, place) {
  const group = /** @type {HTMLElement} */ (element.querySelector(".versions"));
  group.hidden = versions.length < 2;
  /** @type {HTMLElement} */ (group.querySelector(".versions-count")).textContent = `${place + 1} / ${versions.length}`;
  const [back, forth] = group.querySelectorAll("button");
  back.disabled = place <= 0;
  forth.disabled = place >= versions.length - 1;
}
