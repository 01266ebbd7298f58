/**
 * An answer's Markdown as it arrives, written into the page block by block. The parser builds elements, never HTML
 * strings, and this renderer makes none that loads, runs or leads anywhere but to http, https and mailto.
 */

import * as smd from "streaming-markdown";
import { isEndless } from "antiphon/lib/text";

const LINK = /^(https?:\/\/|mailto:)/i;
const LANGUAGE = /^[A-Za-z0-9+#._-]{1,30}/;

/** Elements by token; what is not named becomes a span. @type {Record<number, string>} */
const TAGS = {
  [smd.BLOCKQUOTE]: "blockquote", [smd.PARAGRAPH]: "p", [smd.LINE_BREAK]: "br", [smd.RULE]: "hr",
  [smd.HEADING_1]: "h1", [smd.HEADING_2]: "h2", [smd.HEADING_3]: "h3",
  [smd.HEADING_4]: "h4", [smd.HEADING_5]: "h5", [smd.HEADING_6]: "h6",
  [smd.ITALIC_AST]: "em", [smd.ITALIC_UND]: "em", [smd.STRONG_AST]: "strong", [smd.STRONG_UND]: "strong",
  [smd.STRIKE]: "s", [smd.CODE_INLINE]: "code", [smd.RAW_URL]: "a", [smd.LINK]: "a", [smd.IMAGE]: "a",
  [smd.LIST_UNORDERED]: "ul", [smd.LIST_ORDERED]: "ol", [smd.LIST_ITEM]: "li", [smd.TABLE_ROW]: "tr",
};

export class LiveText {
  /**
   * @param {HTMLElement} body
   * @param {(block: Element) => void} onBlock called with each finished block
   */
  constructor(body, onBlock) {
    this.body = body;
    this.onBlock = onBlock;
    this.plain = false;
    this.text = "";
    this.word = ""; // since the last blank
    body.classList.remove("endless");
    body.replaceChildren();
    this.parser = smd.parser(this.renderer());
  }

  /** @param {string} text */
  write(text) {
    this.text += text;
    this.measure(text);
    if (this.plain) {
      this.body.lastElementChild?.append(text);
      return;
    }
    try {
      smd.parser_write(this.parser, text);
    } catch {
      this.showPlain(); // a parser's slip must not lose words
    }
  }

  /** Marks a text with an endless word, which takes seconds to lay out with kerning. @param {string} text */
  measure(text) {
    const start = text.search(/\s\S*$/); // of the last word
    if (isEndless(this.word + text)) this.body.classList.add("endless");
    this.word = start < 0 ? this.word + text : text.slice(start + 1);
  }

  end() {
    if (this.plain) return;
    try {
      smd.parser_end(this.parser);
    } catch {
      this.showPlain();
    }
    const last = this.body.lastElementChild;
    if (last) this.onBlock(last);
  }

  showPlain() {
    this.plain = true;
    const block = document.createElement("div");
    block.className = "plain";
    block.textContent = this.text;
    this.body.replaceChildren(block);
  }

  renderer() {
    /** @type {{element: Element, text: string}[]} */
    const open = [{ element: this.body, text: "" }];
    const top = () => open[open.length - 1];
    return {
      data: null,
      /** @param {null} _data @param {number} token */
      add_token: (_data, token) => {
        if (token === smd.DOCUMENT) return;
        if (open.length > 20) throw new RangeError("nested too deep");
        const before = open.length === 1 ? this.body.lastElementChild : null;
        if (before) this.onBlock(before);
        open.push({ element: make(top().element, token), text: isEquation(token) ? "$" : "" });
        if (top().text) top().element.append(top().text);
      },
      end_token: () => {
        const ended = open.pop();
        if (ended?.text) ended.element.append(ended.text);
      },
      /** @param {null} _data @param {string} text */
      add_text: (_data, text) => top().element.append(text),
      /** @param {null} _data @param {number} name @param {string} value */
      set_attr: (_data, name, value) => setAttribute(top().element, name, value),
    };
  }
}

/** @param {number} token */
function isEquation(token) {
  return token === smd.EQUATION_BLOCK || token === smd.EQUATION_INLINE;
}

/** @param {Element} parent @param {number} token @returns {Element} the element that takes the text */
function make(parent, token) {
  if (token === smd.CODE_BLOCK || token === smd.CODE_FENCE) {
    const pre = append(parent, "pre");
    pre.className = "code";
    return append(pre, "code");
  }
  if (token === smd.TABLE) {
    const scroll = append(parent, "div");
    scroll.className = "table-scroll";
    return append(scroll, "table");
  }
  if (token === smd.TABLE_ROW) {
    const part = parent.children.length === 0 ? append(parent, "thead") : parent.children[1] ?? append(parent, "tbody");
    return append(part, "tr");
  }
  if (token === smd.TABLE_CELL) return append(parent, parent.parentElement?.tagName === "THEAD" ? "th" : "td");
  const element = append(parent, TAGS[token] ?? "span");
  if (token === smd.CHECKBOX) {
    element.textContent = "☐";
    parent.classList.add("task-item");
  }
  return element;
}

/** @param {Element} parent @param {string} tag */
function append(parent, tag) {
  return parent.appendChild(document.createElement(tag));
}

/** @param {Element} element @param {number} name @param {string} value */
function setAttribute(element, name, value) {
  if ((name === smd.HREF || name === smd.SRC) && LINK.test(value)) {
    element.setAttribute("href", value); // an image too becomes a link that names it: nothing is loaded
    element.setAttribute("rel", "noopener noreferrer nofollow");
    element.setAttribute("target", "_blank");
  } else if (name === smd.LANG) {
    const language = LANGUAGE.exec(value)?.[0];
    if (language) element.parentElement?.setAttribute("data-language", language);
  } else if (name === smd.CHECKED) {
    element.textContent = "☑";
  } else if (name === smd.START && /^\d{1,9}$/.test(value)) {
    element.setAttribute("start", value);
  }
}
