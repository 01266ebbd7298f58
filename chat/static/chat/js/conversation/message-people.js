/** The people of a message: its author, whom it mentions, and who asked for an answer. */

import { nameAuthor } from "antiphon/conversation/message-author";

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {{start: number, length: number, user?: string, model?: string}} Mention in code points */

/**
 * Shows them, from what the server says of the message, or from what it put into the page.
 * @param {MessageView} view @param {any} [message]
 */
export function showPeople(view, message) {
  const { element } = view;
  if (message) {
    nameAuthor(element, message.author);
    if (message.asked_by) showAsker(element, message.asked_by);
  }
  const mentions = message ? message.mentions : JSON.parse(element.dataset.mentions || "null");
  if (view.role === "user" && mentions?.length) markMentions(view.body, view.text, mentions, element.dataset.reader ?? "");
}

/** @param {HTMLElement} element @param {{id: string, name: string}} person */
function showAsker(element, person) {
  const place = /** @type {HTMLElement | null} */ (element.querySelector(".asked-by"));
  if (!place) return;
  place.hidden = false;
  const words = person.id === place.dataset.own ? place.dataset.you : place.dataset.words;
  place.textContent = (words ?? "").replace("%(name)s", person.name);
}

/**
 * Marks the places where a text mentions somebody. What is not a mention (the text has changed) is left alone.
 * @param {HTMLElement} body @param {string} text @param {Mention[]} mentions @param {string} reader
 */
export function markMentions(body, text, mentions, reader) {
  const points = [...text];
  /** @type {(string | HTMLElement)[]} */
  const parts = [];
  let at = 0;
  for (const mention of mentions) {
    if (mention.start < at || !/^[@＠]/.test(points[mention.start] ?? "")) continue; // of several people of one name, the first
    const mark = document.createElement("span");
    mark.className = "mention";
    mark.dir = "auto";
    mark.toggleAttribute("data-you", mentions.some((one) => one.start === mention.start && one.user === reader));
    mark.textContent = points.slice(mention.start, mention.start + mention.length).join("");
    parts.push(points.slice(at, mention.start).join(""), mark);
    at = mention.start + mention.length;
  }
  body.replaceChildren(...parts, points.slice(at).join(""));
}
