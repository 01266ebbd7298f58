/** The prompts of tool servers in the list of prompts: the server fills in the text. Loaded with the first list. */

import { fetchJson, post } from "antiphon/lib/fetch";
import { promptEntry } from "antiphon/conversation/prompt-list";

/** @typedef {import("antiphon/conversation/prompt-list").PromptEntry} PromptEntry */
/** @typedef {{name: string, description: string, required: boolean}} Argument */
/** @typedef {{server_id: string, server: string, name: string, title: string, description: string, arguments: Argument[]}} ServerPrompt */

const KEPT_MS = 60_000; // what the page asked for; a server's prompts seldom change

/** @type {{at: number, entries: PromptEntry[]} | null} */
let kept = null;

/** Those of the servers that the user may use; none while they cannot be read. @param {string} root of the site @param {number} rank of the first */
export async function loadServerPrompts(root, rank) {
  if (kept && performance.now() - kept.at < KEPT_MS) return kept.entries;
  try {
    const { prompts } = await fetchJson(`${root}connections/prompts/`);
    kept = { at: performance.now(), entries: prompts.map((/** @type {ServerPrompt} */ one, /** @type {number} */ at) => entryOf(one, rank + at)) };
  } catch {
    kept = { at: performance.now(), entries: [] }; // the prompts of the library are there all the same
  }
  return kept.entries;
}

/** @param {ServerPrompt} one @param {number} rank */
function entryOf(one, rank) {
  const name = one.name.replace(/[\s/]+/g, "-"); // as it can be typed after a slash
  return promptEntry({ id: `${one.server_id}/${one.name}`, name, title: one.title || one.description, server: one.server, asks: one }, rank);
}

/** The fields of its form. @param {ServerPrompt} one */
export function variablesOf(one) {
  return one.arguments.map(({ name, description, required }) => ({ name, default: "", long: false, hint: description, required }));
}

/**
 * The text, from the server with the user's log-in there. Throws with a sentence.
 * @param {string} root @param {string} csrf @param {ServerPrompt} one @param {Map<string, string>} values
 */
export async function fillIn(root, csrf, one, values) {
  const { text } = await post(`${root}connections/${one.server_id}/prompt/`, csrf, { name: one.name, arguments: JSON.stringify(Object.fromEntries(values)) });
  return String(text);
}
