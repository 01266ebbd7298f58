/**
 * An answer's Markdown as it arrives, written into the page block by block. A block that is finished is not touched any
 * more until the end; the last one is read anew as it grows, and changed in place.
 */

import { setFormulas } from "antiphon/conversation/formulas";
import { isEndless } from "antiphon/lib/text";
import { fromServer, morph } from "antiphon/lib/morph";

/** @typedef {import("antiphon/markdown/blocks").Block} Block */

const TICK_MS = 30; // between two readings of the last block
const SHARE = 4; // and this many times as long as one reading takes

/** The parser, once it is there. @type {typeof import("antiphon/markdown/blocks") | null} */
let markdown = null;
/** @type {Promise<void> | null} */
let loading = null;

function load() {
  loading ??= import("antiphon/markdown/blocks").then((module) => void (markdown = module), () => void (loading = null));
  return loading ?? Promise.resolve();
}

/** What writes into an element now. @type {WeakMap<Element, LiveText>} */
const writers = new WeakMap();

/** Something else is shown in an element from now on. @param {Element} body */
export function leaveText(body) {
  writers.get(body)?.leave();
  writers.delete(body);
}

/**
 * Shows a finished answer in the place of its streamed text. What is equal stays, with a selection in it.
 * @param {Element} body @param {string} html made and sanitised by the server @param {(blocks: ParentNode) => void} dress
 */
export function showFinished(body, html, dress) {
  leaveText(body);
  const fresh = fromServer(html);
  dress(fresh);
  morph(body, [...fresh.childNodes]);
}

export class LiveText {
  /**
   * @param {HTMLElement} body
   * @param {(block: Element) => void} onBlock called with each finished block
   * @param {(blocks: ParentNode) => void} [dress] called with blocks that are finished, before they are shown
   */
  constructor(body, onBlock, dress = () => {}) {
    this.body = body;
    this.onBlock = onBlock;
    this.dress = dress;
    this.text = "";
    this.word = ""; // since the last blank
    this.ended = false;
    this.replaced = false; // something else is shown in its place
    this.from = 0; // where the text begins that may still change
    this.done = 0; // how many elements are finished
    this.told = 0; // and how many of them `onBlock` has had
    this.references = {};
    this.nextAt = 0;
    this.timer = 0;
    leaveText(body);
    writers.set(body, this);
    body.classList.remove("endless");
    body.replaceChildren();
    /** Resolves when the parser is there, and what came before it is shown. */
    this.ready = markdown ? Promise.resolve() : load().then(() => !this.replaced && this.show());
  }

  /** @param {string} text */
  write(text) {
    this.text += text;
    this.measure(text);
    const wait = this.nextAt - performance.now();
    if (wait <= 0 && !this.timer) this.show();
    else this.timer ||= setTimeout(() => this.show(), Math.max(wait, 0));
  }

  /** Marks a text with an endless word, which takes seconds to lay out with kerning. @param {string} text */
  measure(text) {
    const start = text.search(/\s\S*$/); // of the last word
    if (isEndless(this.word + text)) this.body.classList.add("endless");
    this.word = start < 0 ? this.word + text : text.slice(start + 1);
  }

  /** All of the text is there: it is read once more, with the definitions at its end. */
  end() {
    this.ended = true;
    this.show();
  }

  leave() {
    clearTimeout(this.timer);
    this.replaced = true;
  }

  show() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.replaced) return;
    if (!markdown) return this.showPlain();
    const began = performance.now();
    try {
      if (this.ended) this.showEnd(markdown);
      else this.showMore(markdown);
    } catch {
      this.showPlain(); // beyond the limits, or a parser's slip, which must not lose words
    }
    setFormulas(this.body);
    this.nextAt = performance.now() + Math.max(TICK_MS, SHARE * (performance.now() - began));
    return undefined;
  }

  showPlain() {
    const block = document.createElement("div");
    block.className = "plain";
    block.textContent = this.text;
    this.from = this.done = this.told = 0;
    morph(this.body, this.text ? [block] : []);
  }

  /** @param {typeof import("antiphon/markdown/blocks")} reader */
  showEnd(reader) {
    const blocks = document.createDocumentFragment();
    blocks.append(...reader.finished(this.text));
    this.dress(blocks);
    morph(this.body, [...blocks.childNodes]);
    this.done = this.body.childElementCount;
    this.tell();
  }

  /** @param {typeof import("antiphon/markdown/blocks")} reader */
  showMore(reader) {
    // A note is numbered by where the text first refers to it, so all of the text is read.
    const numbered = this.text.includes("[^");
    if (numbered) this.from = this.done = 0;
    const text = this.text.slice(this.from);
    const read = (/** @type {string} */ words) => reader.blocksOf(words, { references: { ...this.references } });
    let blocks = read(text);
    const closed = blocks.at(-1)?.code ? text : closeMarks(text);
    if (closed !== text) blocks = read(closed);
    const lines = lineStarts(text);
    const finished = numbered ? 0 : countFinished(blocks, lines, text);
    const shown = document.createDocumentFragment();
    shown.append(...blocks.slice(0, finished).flatMap((block) => block.nodes));
    this.dress(shown);
    const more = shown.childElementCount;
    shown.append(...blocks.slice(finished).flatMap((block) => block.nodes));
    morph(this.body, [...shown.childNodes], this.done);
    this.done += more;
    if (finished) {
      const end = lines[blocks[finished].line];
      // A definition counts once it is finished: the first one of a name stays.
      if (text.slice(0, end).includes("]:")) reader.blocksOf(text.slice(0, end), { references: this.references });
      this.from += end;
    }
    this.tell();
  }

  tell() {
    for (; this.told < this.done; this.told += 1) {
      const block = this.body.children[this.told];
      this.onBlock(block.classList.contains("code-block") ? block.querySelector("pre") ?? block : block);
    }
  }
}

/** Where each line begins. @param {string} text */
function lineStarts(text) {
  return [0, ...[...text.matchAll(/\r\n?|\n/g)].map((end) => end.index + end[0].length)];
}

/**
 * How many blocks cannot change any more: those before the last one whose first line is whole. A list may go on after
 * what looks like a paragraph (`2`, of `2.`), and a formula is a paragraph until its end comes.
 * @param {Block[]} blocks @param {number[]} lines @param {string} text
 */
function countFinished(blocks, lines, text) {
  let count = blocks.length - 1;
  while (count > 0 && blocks[count].line >= lines.length - 1) count -= 1;
  const open = blocks.findIndex((block) => block.open && !/\n[ \t]*\n/.test(text.slice(lines[block.line])));
  return Math.max(0, open < 0 ? count : Math.min(count, open));
}

/** Closes what the last line has opened, so that it looks at once as it will. @param {string} text */
function closeMarks(text) {
  const line = text.slice(text.lastIndexOf("\n") + 1).replace(/(`+)[^`]+\1/g, "x");
  if (/`[^`\s][^`]*$/.test(line)) return `${text}\``;
  const marks = line.split("**");
  const last = marks.at(-1) ?? "";
  if (marks.length % 2 || !/^[^\s*]/.test(last)) return text;
  return last.endsWith("*") ? `${text}*` : `${text.trimEnd()}**`;
}
