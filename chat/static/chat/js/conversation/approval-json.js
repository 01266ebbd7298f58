/**
 * Arguments of a call as they will be sent, laid out to be read. Nothing is parsed and written again: numbers, the order
 * and repeated names stay as they are. Characters that nobody sees, or that turn the direction of the text, are escapes.
 */

import { t } from "antiphon/lib/texts";

const MOST_BYTES = 64 * 1024; // as the server has it
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const UNSEEN = /[\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]/g;

/** @param {string} text */
export function layOut(text) {
  if (argumentsTrouble(text)) return text.replace(UNSEEN, escaped); // it is no object, so it is shown as it is
  let out = "";
  let depth = 0;
  let before = "";
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === "}" || token === "]") {
      depth -= 1;
      if (before !== "{" && before !== "[") out += line(depth);
    } else if (before === "{" || before === "[" || before === ",") out += line(depth);
    out += token === ":" ? ": " : token.replace(UNSEEN, escaped);
    if (token === "{" || token === "[") depth += 1;
    before = token;
  }
  return out;
}

/** What is wrong with arguments; empty where nothing is. @param {string} text */
export function argumentsTrouble(text) {
  if (new TextEncoder().encode(text).length > MOST_BYTES) return t("Arguments can have at most 64 KiB.");
  try {
    const found = JSON.parse(text);
    return found && typeof found === "object" && !Array.isArray(found) ? "" : t("The arguments must be a JSON object: { … }.");
  } catch (error) {
    return t("This is not JSON. {error}", { error: /** @type {Error} */ (error).message });
  }
}

/** @param {number} depth */
function line(depth) {
  return `\n${"  ".repeat(depth)}`;
}

/** @param {string} character */
function escaped(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
