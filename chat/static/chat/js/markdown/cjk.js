/**
 * Emphasis beside Chinese, Japanese and Korean text, which has no blanks around words. Kept level with
 * chat/markdown/cjk.py, which says what the rule is.
 */

const CJK = /^[\u1100-\u11ff\u2e80-\u312f\u3130-\u318f\u31a0-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u{20000}-\u{3fffd}]/u;

/** @param {any} parser */
export function addCjkEmphasis(parser) {
  const { isMdAsciiPunct, isPunctChar, isWhiteSpace } = parser.utils;
  const blank = (/** @type {string} */ one) => isWhiteSpace(one.codePointAt(0));
  // Of what is not East Asian.
  const punctuation = (/** @type {string} */ one) => !CJK.test(one) && (isMdAsciiPunct(one.codePointAt(0)) || isPunctChar(one));
  const boundary = (/** @type {string} */ one) => blank(one) || punctuation(one) || CJK.test(one);
  /** Whether a run between the two characters may open, or close, what `inside` belongs to. */
  const flanks = (/** @type {string} */ outside, /** @type {string} */ inside) => !blank(inside) && (!punctuation(inside) || boundary(outside));

  parser.inline.State = class extends parser.inline.State {
    /** What a run of `*`, `_` or `~` may do: open, close, and its length. @param {number} start @param {boolean} canSplitWord */
    scanDelims(start, canSplitWord) {
      const scanned = super.scanDelims(start, canSplitWord);
      if (!canSplitWord) return scanned; // underscores keep CommonMark's rules
      const end = start + scanned.length;
      const before = start ? lastCharacter(this.src.slice(Math.max(0, start - 2), start)) : " ";
      const after = end < this.posMax ? String.fromCodePoint(this.src.codePointAt(end)) : " ";
      return { can_open: flanks(before, after), can_close: flanks(after, before), length: scanned.length };
    }
  };
}

/** @param {string} text */
function lastCharacter(text) {
  return [...text].at(-1) ?? " ";
}
