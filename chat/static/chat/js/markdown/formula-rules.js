/** Where formulas are in a Markdown text. Kept level with chat/markdown/formulas.py, which says what they are. */

const MAX_CHARS = 2_000; // of one formula; what is longer stays text
const MAX_LINES = 60;

const BLOCK = /^(?:\$\$|\\\[|\\begin\{((?:equation|align|aligned|alignat|gather|gathered|multline|split|cases|array|matrix|[pbBvV]matrix|smallmatrix|eqnarray|CD)\*?)\})/;
const AFTER = /^[.,;:]?[ \t]*$/; // a formula's own punctuation
const NUMBERS = /^[0-9\s,;xX-]*$/; // `\[1\]` is an escaped reference, `\[x\]` an escaped task
const WORD = /\s[A-Za-z]{2,}/; // `$5 for one, 8$`: an amount and words
/** @type {Record<string, string>} */
const CLOSING = { "$$": "$$", "\\[": "\\]", "\\(": "\\)" };

/** @typedef {{content: string, end: number, display: boolean}} Found */

/** @param {any} parser */
export function addFormulas(parser) {
  parser.inline.ruler.before("escape", "math", inline);
  parser.block.ruler.before("blockquote", "math_block", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
}

/** Whether a paragraph begins like a formula whose end has not come. @param {string} text */
export function mayBecomeFormula(text) {
  return text.split("\n").some((line) => BLOCK.test(line.trimStart()));
}

/** @param {any} state @param {boolean} silent */
function inline(state, silent) {
  const found = find(state.src, state.pos, state.posMax);
  if (!found) return false;
  if (!silent) {
    const token = state.push("math", "", 0);
    token.content = found.content;
    token.meta = { display: found.display };
  }
  state.pos = found.end;
  return true;
}

/** The formula that begins at `start`. @param {string} text @param {number} start @param {number} maximum @returns {Found | null} */
function find(text, start, maximum) {
  const opening = text.slice(start, start + 2);
  if (!Object.hasOwn(CLOSING, opening)) return opening[0] === "$" ? findDollar(text, start, maximum) : null;
  const found = between(text, start, maximum, CLOSING[opening]);
  return found && opening === "\\[" && NUMBERS.test(found.content) ? null : found;
}

/** @param {string} text @param {number} start @param {number} maximum @param {string} closing @returns {Found | null} */
function between(text, start, maximum, closing) {
  const inside = text.slice(start + 2, Math.min(maximum, start + 2 + MAX_CHARS));
  const end = inside.indexOf(closing);
  const content = end < 0 ? "" : inside.slice(0, end).trim();
  if (!content || content.includes("`") || content.startsWith("$")) return null;
  return { content, end: start + 2 + end + 2, display: closing !== "\\)" };
}

/** `$…$`: no blank inside of the dollars, no digit after them. @param {string} text @param {number} start @param {number} maximum @returns {Found | null} */
function findDollar(text, start, maximum) {
  if (start && /[$0-9A-Za-z]/.test(text[start - 1])) return null;
  const limit = Math.min(maximum, start + 1 + MAX_CHARS);
  let end = start + 1;
  while (end < limit && text[end] !== "$") end += text[end] === "\\" ? 2 : 1;
  if (end >= limit) return null;
  const content = text.slice(start + 1, end);
  const after = end + 1 < maximum ? text[end + 1] : "";
  if (!content || /^\s|\s$|`/.test(content) || /^[0-9$]/.test(after)) return null;
  if (/^[A-Za-z]/.test(after) && content.length > 1 && !/[\\^_{}=+]/.test(content)) return null; // `$HOME/$USER`
  if (/^[0-9]/.test(content) && !content.includes("\\") && WORD.test(content)) return null;
  return { content, end: end + 1, display: false };
}

/** @param {any} state @param {number} startLine @param {number} endLine @param {boolean} silent */
function block(state, startLine, endLine, silent) {
  if (state.sCount[startLine] - state.blkIndent >= 4) return false;
  const first = lineOf(state, startLine);
  const opening = BLOCK.exec(first);
  if (!opening) return false;
  const environment = opening[1];
  const closing = environment ? `\\end{${environment}}` : CLOSING[opening[0]];
  /** @type {string[]} */
  const lines = [];
  for (let number = startLine; number < Math.min(endLine, startLine + MAX_LINES); number += 1) {
    const line = number === startLine ? first.slice(opening[0].length) : lineOf(state, number);
    if (number > startLine && (!line.trim() || state.sCount[number] < state.blkIndent)) return false;
    const at = line.indexOf(closing);
    if (at < 0) {
      lines.push(line);
      continue;
    }
    const rest = line.slice(at + closing.length);
    const content = [...lines, line.slice(0, at)].join("\n");
    if (!AFTER.test(rest) || content.length > MAX_CHARS || !content.trim()) return false;
    if (opening[0] === "\\[" && NUMBERS.test(content)) return false;
    if (!silent) {
      const token = state.push("math_block", "", 0);
      token.content = (environment ? opening[0] + content + closing : content).trim() + rest.trim();
      token.map = [startLine, number + 1];
      token.meta = { display: true };
      state.line = number + 1;
    }
    return true;
  }
  return false;
}

/** @param {any} state @param {number} number */
function lineOf(state, number) {
  return state.src.slice(state.bMarks[number] + state.tShift[number], state.eMarks[number]);
}
