/** What moderation did: below a message, above the message field, and for a screen reader. */

import { t, told } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/wire/protocol").Message} Message */

/**
 * Put into the page: the address of the user's cases; by action what the author and what others read; and reasons that
 * say no more than that.
 * @type {{user?: {id: string}, moderation?: {cases: string, words: Record<string, [string, string]>, usual: string[]}}}
 */
const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");
const { cases = "/cases/", words = {}, usual = [] } = PAGE.moderation ?? {};

/** Announced when it happens to a message that is shown. @type {Record<string, string>} */
export const ANNOUNCED = {
  mask: t("Parts of the message were replaced."),
  hold: t("The message is waiting for a reviewer."),
  release: t("The message was released."),
  block: t("The message was refused."),
  withdrawn: t("The message was withdrawn."),
};

/** What an answer to a withheld question waits for is no free worker. */
export const WAITING_FOR = "moderation";

/** For the styles of a message. @param {HTMLElement} element @param {{action: string} | undefined} done */
export function markModeration(element, done) {
  if (done) element.dataset.moderation = done.action;
  else delete element.dataset.moderation;
}

/** Shows what moderation did to a message. @param {MessageView} view before it takes over the text @param {Message} message */
export function showModeration(view, message) {
  const { element } = view;
  const done = message.moderation;
  const own = message.author?.id === PAGE.user?.id;
  if (done?.action === "hold" && view.text) view.withheld = view.text; // this tab still knows what it sent
  markModeration(element, done);
  element.toggleAttribute("data-own", own);
  const place = /** @type {HTMLElement | null} */ (element.querySelector(".moderated"));
  if (!place) return;
  place.hidden = !done;
  const [authors, others] = words[done?.action ?? ""] ?? ["", ""];
  const reason = own && done && !usual.includes(done.reason) ? ` ${told(done.reason)}` : "";
  const line = place.querySelector("p");
  if (line) line.textContent = `${own || message.role === "assistant" ? authors : others}${reason}`;
}

/**
 * Puts a message that was not sent, or was withdrawn, into the field again, with the reason above it.
 * @param {import("antiphon/conversation/composer").Composer} composer @param {string} text @param {string} [reason]
 */
export function giveBack(composer, text, reason = "") {
  composer.write([text, composer.field.value].filter(Boolean).join("\n\n"));
  composer.field.focus();
  const place = document.getElementById("refused");
  const [line, button] = [place?.querySelector("p"), place?.querySelector("button")];
  if (!reason || !place || !line || !button) return;
  place.hidden = false;
  line.textContent = reason;
  button.onclick = () => {
    place.hidden = true;
    composer.field.focus();
  };
}

/** Another message is sent. */
export function hideRefusal() {
  const place = document.getElementById("refused");
  if (place) place.hidden = true;
}

/** What a note about a refusal offers. */
export const SEE_CASES = { label: t("See your cases"), run: () => location.assign(cases) };

/** A link to the user's cases. */
export function linkToCases() {
  return Object.assign(document.createElement("a"), { href: cases, textContent: SEE_CASES.label });
}
