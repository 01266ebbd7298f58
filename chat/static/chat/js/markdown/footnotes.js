/** Footnotes. Kept level with chat/markdown/footnotes.py, which says what they are. */

const MAX_REFERENCES = 1_000; // of a text; further ones stay text
const NOTE = /\[\^([^\s\]]{1,100})\]:[ \t]*/y;
const REFERENCE = /\[\^([^\s\]]{1,100})\]/y;

/** @param {any} parser */
export function addFootnotes(parser) {
  parser.block.ruler.before("reference", "footnote", note, { alt: ["paragraph", "reference"] });
  parser.inline.ruler.before("link", "footnote_ref", reference);
  parser.core.ruler.after("inline", "footnotes", collect);
}

/** The place of each note's first reference, from 1; 0 where there is none so far. @param {any} env @returns {Map<string, number>} */
function namesIn(env) {
  return (env.footnotes ??= new Map());
}

/** @param {RegExp} expression sticky @param {string} text @param {number} at @param {number} end */
function matchAt(expression, text, at, end) {
  expression.lastIndex = at;
  const found = expression.exec(text);
  return found && at + found[0].length <= end ? found : null;
}

/** A note at the outermost level. @param {any} state @param {number} startLine @param {number} endLine @param {boolean} silent */
function note(state, startLine, endLine, silent) {
  if (state.sCount[startLine] - state.blkIndent >= 4) return false;
  const begin = state.bMarks[startLine] + state.tShift[startLine];
  const found = matchAt(NOTE, state.src, begin, state.eMarks[startLine]);
  if (!found) return false;
  if (silent) return true;
  if (state.level) return false;
  const names = namesIn(state.env);
  if (!names.has(found[1])) names.set(found[1], 0);
  const token = state.push("note_open", "", 1);
  token.info = found[1];
  const kept = [state.bMarks[startLine], state.tShift[startLine], state.sCount[startLine], state.parentType];
  state.bMarks[startLine] = begin + found[0].length;
  state.tShift[startLine] = 0;
  state.sCount[startLine] = state.blkIndent + 4;
  state.blkIndent += 4;
  state.parentType = "footnote";
  state.md.block.tokenize(state, startLine, endLine);
  state.blkIndent -= 4;
  [state.bMarks[startLine], state.tShift[startLine], state.sCount[startLine], state.parentType] = kept;
  token.map = [startLine, state.line];
  state.push("note_close", "", -1);
  return true;
}

/** @param {any} state @param {boolean} silent */
function reference(state, silent) {
  const found = matchAt(REFERENCE, state.src, state.pos, state.posMax);
  const names = namesIn(state.env);
  if (!found || !names.has(found[1]) || (state.env.referencesLeft ?? MAX_REFERENCES) <= 0) return false;
  if (!silent) {
    state.env.referencesLeft = (state.env.referencesLeft ?? MAX_REFERENCES) - 1;
    if (!names.get(found[1])) names.set(found[1], Math.max(...names.values()) + 1);
    state.push("footnote_ref", "", 0).content = String(names.get(found[1]));
  }
  state.pos += found[0].length;
  return true;
}

/** Moves the notes to the end, in order. @param {any} state */
function collect(state) {
  const names = namesIn(state.env);
  if (!names.size) return;
  /** @type {any[]} */
  const text = [];
  /** @type {Map<string, any[]>} */
  const notes = new Map();
  let into = text;
  for (const token of state.tokens) {
    if (token.type === "note_open") {
      into = [];
      if (!notes.has(token.info)) notes.set(token.info, into); // the first one counts
    } else if (token.type === "note_close") into = text;
    else into.push(token);
  }
  const used = [...names].filter(([, place]) => place).sort(([, one], [, other]) => one - other);
  const push = (/** @type {string} */ type, /** @type {string} */ tag, /** @type {number} */ nesting) => {
    const token = new state.Token(type, tag, nesting);
    token.block = true;
    text.push(token);
  };
  if (used.length) {
    push("footnotes_open", "ol", 1);
    for (const [name] of used) {
      push("footnote_open", "li", 1);
      text.push(...(notes.get(name) ?? []));
      push("footnote_close", "li", -1);
    }
    push("footnotes_close", "ol", -1);
  }
  state.tokens = text;
}
