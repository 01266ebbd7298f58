/** The prompt library's list, without the page: what is being looked for, and which prompts fit. */

import { fold, search } from "antiphon/conversation/model-list";

/**
 * @typedef {{id: string, name: string, title: string, owner?: string, server?: string, asks?: any}} Prompt `server`: its title; `asks`:
 *   what the tool server wants to know
 * @typedef {import("antiphon/conversation/model-list").Entry & {prompt: Prompt}} PromptEntry
 */

/**
 * What is typed after a slash at the start of the text, up to the caret; null where that is no name of a prompt.
 * @param {string} text @param {number} caret
 */
export function queryAt(text, caret) {
  const found = /^\/([^\s/]{0,60})$/u.exec(text.slice(0, caret));
  return found && !/^\S/.test(text.slice(caret)) ? found[1] : null;
}

/** @param {Prompt} prompt @param {number} rank @returns {PromptEntry} */
export function promptEntry(prompt, rank) {
  const keys = [prompt.name, prompt.title, prompt.owner ?? prompt.server ?? ""].map(fold);
  const squeezed = keys.map((key) => key.replace(/[^\p{L}\p{N}]+/gu, ""));
  return { value: prompt.id, label: prompt.name, about: prompt.title, model: null, gone: false, keys: [...keys, ...squeezed], rank, prompt };
}

/** The prompts that fit, the best first; all in their order without a query. @param {PromptEntry[]} entries @param {string} query */
export function fitting(entries, query) {
  return /** @type {PromptEntry[]} */ (search(entries, query));
}

/**
 * The text with values in place of its variables, as `chat.catalog.variables.fill` makes it. What is called `date` or
 * `time` and was not asked for is the day and the time of this browser.
 * @param {(string | {name: string})[]} pieces @param {Map<string, string>} values @param {Date} now
 */
export function fill(pieces, values, now) {
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  /** @type {Record<string, string>} */
  const special = {
    date: `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`,
    time: `${two(now.getHours())}:${two(now.getMinutes())}`,
  };
  return pieces.map((piece) => (typeof piece === "string" ? piece : values.get(piece.name) ?? special[piece.name] ?? "")).join("");
}
