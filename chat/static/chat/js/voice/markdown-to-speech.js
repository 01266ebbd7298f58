/**
 * What of an answer's Markdown is said aloud: sentence by sentence, each knowing its places in the text. Code, rules and
 * addresses are not said, marks are left out. Pure; places count Unicode code points, as the protocol does.
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const STARTER = /^\s*(?:[-*+]\s|\d{1,9}[.)]\s|#{1,6}\s|>|\||`{3}|~{3})/;
const OPENING = /^(?:\s*(?:[-*+]|\d{1,9}[.)]|#{1,6}|>)\s+)*(?:\[[ xX]\]\s+)?\s*/; // marks of lists, headings, quotes
const UNDECIDED = /^[\s`~|>#*+\-_\d.)]{0,4}$/; // a line of which the first few characters do not say what it is
const ABBREVIATION = /(?:^|[\s(])(?:Dr|Mr|Mrs|Ms|Prof|St|Nr|No|Fig|vs|approx|ca|bzw|vgl|usw)\.\s*$/;
const LONGEST = 240; // characters said in one go: browsers cut long ones off

/** In the order tried, at a place in the text. What matches is said as `say` gives it; null says nothing. */
const INLINE = /** @type {[RegExp, (found: RegExpExecArray) => {from: number, to: number} | string | null][]} */ ([
  [/\\([!-/:-@[-`{-~])/y, (found) => found[1]],
  [/\[\^[^\]\n]+\]/y, () => null],
  [/!?\[([^\]]*)\]\([^)\s]*(?:\s+"[^"]*")?\)/y, (found) => within(found, found[0].indexOf("[") + 1, found[1].length)],
  [/<?https?:\/\/([^\s/>)]*[^\s/>).,;:!?])(?:\/(?:[^\s>)]*[^\s>).,;:!?])?)?>?/y, (found) => found[1]],
  [/<\/?[A-Za-z][^>\n]*>/y, () => null],
  [/`+|\*+|~~/y, () => null],
  [/(?<![\p{L}\p{N}])_+|_+(?![\p{L}\p{N}])/uy, () => null],
  [/[\p{Extended_Pictographic}\uFE0F\u200D]+/uy, () => null],
  [/\s+/y, () => " "],
]);

/** @typedef {{text: string, marks: number[], end: number}} Sentence `marks`: the place of each UTF-16 unit of `text` */
/** @typedef {{text: string, marks: number[], places: number[], next: number, closed: boolean}} Block */

/** @param {RegExpExecArray} found @param {number} from @param {number} length */
function within(found, from, length) {
  return { from: found.index + from, to: found.index + from + length };
}

export class Sentences {
  constructor() {
    this.at = 0; // UTF-16 units of the text that are done with
    this.points = 0; // ... in code points
    this.inside = false; // a block
    this.splitter = "Segmenter" in Intl ? new Intl.Segmenter(undefined, { granularity: "sentence" }) : null;
  }

  /** Sentences that are finished now and were not before. @param {string} text all of it so far @param {boolean} whole @returns {Sentence[]} */
  take(text, whole) {
    /** @type {Sentence[]} */
    const taken = [];
    for (;;) {
      const block = this.block(text, whole);
      if (!block) return taken;
      const pieces = this.split(block.text);
      let from = 0;
      for (const piece of block.closed ? pieces : pieces.slice(0, -1)) {
        taken.push(...cut(block, from, from + piece.length));
        from += piece.length;
      }
      if (block.closed) this.move(text, block.next);
      else if (from) this.move(text, block.places[from] ?? block.next);
      this.inside = !block.closed && (this.inside || from > 0);
      if (!block.closed) return taken;
    }
  }

  /** @param {string} text @param {number} to */
  move(text, to) {
    this.points += [...text.slice(this.at, to)].length;
    this.at = to;
  }

  /** The block at `at`, as far as it is there; null when it cannot be told yet. @param {string} text @param {boolean} whole @returns {Block | null} */
  block(text, whole) {
    if (!this.inside) this.move(text, this.at + /^\s*?(?=[^\S\n]*\S|$)/.exec(text.slice(this.at))[0].length);
    if (this.at >= text.length) return null;
    let { line, next, complete } = lineAt(text, this.at, whole);
    let from = this.at;
    if (!this.inside) {
      if (!complete && UNDECIDED.test(line)) return null;
      const fence = FENCE.exec(line);
      if (fence) return this.skip(text, whole, next, fence[1]);
      if (line.trimStart().startsWith("|") || RULE.test(line)) return complete ? this.row(text, line, next) : null;
      from += OPENING.exec(line)?.[0].length ?? 0;
    }
    const heading = !this.inside && /^ {0,3}#{1,6}\s/.test(line);
    let to = this.at + line.length;
    let closed = complete && (heading || (whole && next >= text.length));
    while (complete && !heading && next < text.length) {
      const following = lineAt(text, next, whole);
      if (!following.line.trim() && following.complete) closed = true;
      else if (STARTER.test(following.line)) closed = true;
      if (closed || (!following.complete && UNDECIDED.test(following.line))) break;
      to = next + following.line.length;
      ({ next, complete } = following);
      closed = complete && next >= text.length && whole;
    }
    return { ...this.say(text, from, to), next, closed };
  }

  /** Code: not said. @param {string} text @param {boolean} whole @param {number} from @param {string} fence @returns {Block | null} */
  skip(text, whole, from, fence) {
    const end = new RegExp(`^ {0,3}${fence[0]}{${fence.length},} *$`, "m");
    const rest = text.slice(from);
    const found = end.exec(rest);
    if (found && (whole || found.index + found[0].length < rest.length)) return silence(from + found.index + found[0].length);
    return whole ? silence(text.length) : null;
  }

  /** A row of a table: its cells. @param {string} text @param {string} line @param {number} next @returns {Block} */
  row(text, line, next) {
    if (!/[\p{L}\p{N}]/u.test(line)) return silence(next);
    const said = this.say(text, this.at + line.indexOf("|") + 1, this.at + line.trimEnd().replace(/\|$/, "").length);
    return { ...said, text: said.text.replaceAll("|", ","), next, closed: true };
  }

  /** The words between two places. @param {string} text @param {number} from @param {number} to */
  say(text, from, to) {
    let said = "";
    /** @type {number[]} */
    const marks = [];
    /** @type {number[]} */
    const places = [];
    let counted = this.at;
    let points = this.points;
    const add = (/** @type {string} */ piece, /** @type {number} */ at) => {
      for (; counted < at; counted += 1) if ((text.charCodeAt(counted) & 0xfc00) !== 0xdc00) points += 1;
      if (piece === " " && (said === "" || said.endsWith(" "))) return;
      said += piece;
      for (let i = 0; i < piece.length; i += 1) marks.push(points), places.push(at);
    };
    const read = (/** @type {number} */ start, /** @type {number} */ end) => {
      for (let at = start; at < end; ) {
        const found = match(text, at, end);
        if (!found) add(text[at], at++);
        else {
          if (typeof found.say === "string") add(found.say, at);
          else if (found.say) read(found.say.from, found.say.to);
          at = Math.min(found.end, end);
        }
      }
    };
    read(from, to);
    return { text: said, marks, places };
  }

  /** @param {string} text @returns {string[]} which join to it */
  split(text) {
    const raw = this.splitter ? Array.from(this.splitter.segment(text), (one) => one.segment) : (text.match(/.+?(?:[.!?…]+["'”’)]*\s+|$)/gs) ?? []);
    /** @type {string[]} */
    const pieces = [];
    for (const piece of raw) {
      if (pieces.length && ABBREVIATION.test(pieces[pieces.length - 1])) pieces[pieces.length - 1] += piece;
      else pieces.push(piece);
    }
    return pieces;
  }
}

/** @param {string} text @param {number} at @param {number} end */
function match(text, at, end) {
  for (const [pattern, say] of INLINE) {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found && found.index + 1 <= end) return { say: say(found), end: at + found[0].length };
  }
  return null;
}

/** @param {string} text @param {number} at @param {boolean} whole */
function lineAt(text, at, whole) {
  const end = text.indexOf("\n", at);
  if (end >= 0) return { line: text.slice(at, end), next: end + 1, complete: true };
  return { line: text.slice(at), next: text.length, complete: whole };
}

/** @param {number} next @returns {Block} */
function silence(next) {
  return { text: "", marks: [], places: [], next, closed: true };
}

/** A piece of a block as sentences: none where there is nothing to say, several where it is long. @param {Block} block @param {number} from @param {number} to @returns {Sentence[]} */
function cut(block, from, to) {
  /** @type {Sentence[]} */
  const found = [];
  while (from < to) {
    let end = to;
    if (to - from > LONGEST) {
      const part = block.text.slice(from, from + LONGEST);
      const pause = Math.max(part.lastIndexOf(", "), part.lastIndexOf("; "), part.lastIndexOf(": "), part.lastIndexOf(" – "));
      end = from + (pause > LONGEST / 3 ? pause + 2 : part.lastIndexOf(" ") + 1 || LONGEST);
    }
    const text = block.text.slice(from, end).trimEnd();
    if (/[\p{L}\p{N}]/u.test(text)) {
      const marks = block.marks.slice(from, from + text.length);
      found.push({ text, marks, end: marks[marks.length - 1] + 1 });
    }
    from = end;
  }
  return found;
}
