/** The rows of the search sheet. Texts come as pieces that are marked or not, and are never read as HTML. */

import { LOCALE, t } from "antiphon/lib/texts";

/**
 * @typedef {object} Entry
 * @property {string} key stays the same while the same thing is listed
 * @property {HTMLElement} row
 * @property {any} item
 */

/**
 * @param {string} name @param {string} title
 * @param {any[]} items @param {{you: string, shown: string, answer: string}} words
 * @returns {{element: HTMLElement, entries: Entry[]}}
 */
export function buildGroup(name, title, items, words) {
  const element = document.createElement("div");
  element.setAttribute("role", "group");
  element.setAttribute("aria-labelledby", `search-group-${name}`);
  const heading = make("div", "choices-title", title);
  heading.id = `search-group-${name}`;
  heading.setAttribute("role", "presentation");
  element.append(heading);
  const entries = items.map((item, at) => {
    const row = make("div", "search-row");
    row.id = `search-${name}-${at}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", "false");
    if (item.kind === "command") row.append(make("span", "search-name", item.element.textContent));
    else if (item.kind === "title") row.append(marked("search-name", item.pieces), time(item.at));
    else row.append(make("span", "search-name", item.title || t("Conversation")), time(item.at), about(item, words));
    element.append(row);
    return { key: `${name} ${item.id ?? item.element.textContent}`, row, item };
  });
  return { element, entries };
}

/** @param {any} item @param {{you: string, shown: string, answer: string}} words */
function about(item, words) {
  const who = item.role === "assistant" ? words.answer : item.author === words.you ? words.shown : item.author;
  const line = marked("search-about", item.pieces);
  line.prepend(make("span", "search-who", who ? `${who}: ` : ""));
  return line;
}

/** @param {string} className @param {[string, boolean][]} pieces */
function marked(className, pieces) {
  const line = make("span", className);
  line.dir = "auto";
  for (const [text, isHit] of pieces) line.append(isHit ? make("mark", "", text) : text);
  return line;
}

/** @param {string} at */
function time(at) {
  const moment = new Date(at);
  const element = document.createElement("time");
  element.dateTime = at;
  const year = moment.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  element.textContent = moment.toLocaleDateString(LOCALE, { day: "numeric", month: "short", year });
  return element;
}

/** @param {string} tag @param {string} className @param {string} [text] */
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}
