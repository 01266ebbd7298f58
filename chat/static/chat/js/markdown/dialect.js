/**
 * The Markdown of answers, for those in progress: the parser that the server has in Python, with the same rules. Kept
 * level with chat/markdown/dialect.py; tests/e2e/test_markdown.py runs a corpus of texts through both.
 */

import MarkdownIt from "markdown-it";
import { addCjkEmphasis } from "antiphon/markdown/cjk";
import { addFootnotes } from "antiphon/markdown/footnotes";
import { addFormulas } from "antiphon/markdown/formula-rules";
import { MAX_NESTING, checkBlocks } from "antiphon/markdown/limits";

const BREAK = /<br[ \t]*\/?>[ \t]*/iy;
const TASK = /^\[([ xX])\][ \t]+/;
const ALIGN = /text-align:(left|center|right)/;
// Where a bare address ends: at Chinese and Japanese punctuation too.
const SEPARATORS = /[><\uff5c、。，；：！？「」『』（）【】《》〈〉“”‘’]/;
const TEXTS = ["paragraph_open", "heading_open"];
const MANY = 200; // parts of a block that is too large for `dir="auto"`; see `directions`
const LETTER = /\p{L}/u;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const BOXES = ["bullet_list_open", "ordered_list_open", "blockquote_open", "table_open", "footnotes_open"];

/** A parser of the dialect. Its parsing throws `TooCostly` for texts beyond the limits. */
export function buildParser() {
  const parser = new MarkdownIt("commonmark", { html: false, linkify: true, breaks: true, maxNesting: MAX_NESTING });
  parser.enable(["table", "strikethrough", "linkify"]);
  parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
  parser.linkify.re.get_text_separators = () => SEPARATORS;
  addCjkEmphasis(parser);
  addFormulas(parser);
  addFootnotes(parser);
  parser.inline.ruler.before("autolink", "break", readBreak);
  parser.core.ruler.after("block", "limits", (/** @type {any} */ state) => checkBlocks(state.tokens));
  parser.core.ruler.before("inline", "trim", trim);
  parser.core.ruler.push("own_attributes", giveAttributes);
  return parser;
}

/** `<br>`, which answers use in the cells of tables. @param {any} state @param {boolean} silent */
function readBreak(state, silent) {
  BREAK.lastIndex = state.pos;
  const found = BREAK.exec(state.src);
  if (!found || state.pos + found[0].length > state.posMax) return false;
  if (!silent) state.push("hardbreak", "br", 0);
  state.pos += found[0].length;
  return true;
}

/** As the parser in Python does, also of blanks outside of ASCII. @param {any} state */
function trim(state) {
  for (const token of state.tokens) if (token.type === "inline") token.content = token.content.trim();
}

/** @param {any} state */
function giveAttributes(state) {
  const found = directions(state.tokens);
  state.tokens.forEach((/** @type {any} */ token, /** @type {number} */ index) => {
    if (BOXES.includes(token.type) || (TEXTS.includes(token.type) && token.level === 0)) token.attrSet("dir", found[index]);
    if (token.type === "footnotes_open") token.attrSet("class", "footnotes");
    else if (token.type === "th_open" || token.type === "td_open") {
      const align = ALIGN.exec(token.attrGet("style") ?? "")?.[1];
      token.attrs = align ? [["class", `align-${align}`]] : null;
    } else if (token.type === "inline") {
      if (state.tokens[index - 2]?.type === "list_item_open") markTask(state.tokens[index - 2], token.children[0]);
      markLinkedImages(token.children);
    }
  });
}

/**
 * For each token the `dir` of a block that begins there: of its first letter, which browsers find (`auto`), but anew with
 * each part that a block gets. In a block of many parts it is found here.
 * @param {any[]} tokens @returns {string[]}
 */
function directions(tokens) {
  const found = tokens.map(() => "auto");
  /** @type {[number, string][]} of the blocks around: parts behind its end, and the next letter there */
  const ends = [];
  let [parts, letter] = [0, ""];
  for (let index = tokens.length - 1; index >= 0; index -= 1) {
    const token = tokens[index];
    parts += 1 + (token.children?.length ?? 0);
    letter = firstDirection(token) || letter;
    if (token.nesting < 0) {
      ends.push([parts, letter]);
      letter = "";
    } else if (token.nesting > 0) {
      const [before, after] = /** @type {[number, string]} */ (ends.pop());
      if (parts - before > MANY) found[index] = letter || "ltr";
      letter ||= after;
    }
  }
  return found;
}

/** Of the first letter in a text; empty if there is none. @param {any} token @returns {string} */
function firstDirection(token) {
  for (const child of token.children ?? []) {
    const direction = firstDirection(child);
    if (direction) return direction;
  }
  const letter = token.type === "text" && LETTER.exec(token.content)?.[0];
  return letter ? (RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr") : "";
}

/** An image within a link is its words: a link cannot stand in another one. @param {any[]} children */
function markLinkedImages(children) {
  let depth = 0;
  for (const token of children) {
    if (token.type === "link_open") depth += 1;
    else if (token.type === "link_close") depth -= 1;
    else if (token.type === "image" && depth) token.meta = { linked: true };
  }
}

/** @param {any} item @param {any} first */
function markTask(item, first) {
  const task = first?.type === "text" && TASK.exec(first.content);
  if (!task) return;
  first.content = (task[1] === " " ? "☐ " : "☑ ") + first.content.slice(task[0].length);
  item.attrSet("class", "task-item");
}
