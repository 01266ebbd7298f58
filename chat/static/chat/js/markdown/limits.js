/** What a text may contain to be parsed. Kept level with chat/markdown/limits.py, which says why. */

import { t } from "antiphon/lib/texts";

export const MAX_NESTING = 40;
export const NOTE = t("Formatting was left out because it would have taken too long."); // as chat/markdown/plain.py has it
const MAX_RICH_CHARS = 200_000;
const MAX_LINES = 20_000;
const MAX_BRACKETS = 5_000;
const MAX_MARKS = 40_000;
const MAX_ADDRESS_WORK = 20_000_000;

export class TooCostly extends Error {}

/** @param {string} text */
export function checkText(text) {
  if (text.length > MAX_RICH_CHARS && [...text].length > MAX_RICH_CHARS) throw new TooCostly("characters");
  if ((text.match(/\r\n|\r|\n/g)?.length ?? 0) > MAX_LINES) throw new TooCostly("lines");
}

/** @param {any[]} tokens */
export function checkBlocks(tokens) {
  let [brackets, marks, work] = [0, 0, 0];
  for (const token of tokens) {
    if (token.level >= MAX_NESTING - 1) throw new TooCostly("nesting");
    if (token.type !== "inline") continue;
    brackets += token.content.match(/\[/g)?.length ?? 0;
    marks += token.content.match(/[*_~`<&\\]/g)?.length ?? 0;
    for (const word of token.content.split(/\s+/)) {
      if (/\/\/|mailto:/i.test(word)) work += word.length ** 2;
    }
  }
  if (brackets > MAX_BRACKETS) throw new TooCostly("brackets");
  if (marks > MAX_MARKS) throw new TooCostly("marks");
  if (work > MAX_ADDRESS_WORK) throw new TooCostly("addresses");
}
