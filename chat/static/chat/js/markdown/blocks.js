/**
 * A Markdown text as elements, block by block. Elements are built, never parsed from HTML strings, and none of them
 * loads, runs or leads anywhere but to http, https and mailto.
 */

import { buildParser } from "antiphon/markdown/dialect";
import { mayBecomeFormula } from "antiphon/markdown/formula-rules";
import { NOTE, TooCostly, checkText } from "antiphon/markdown/limits";

const LINK = /^(https?:\/\/|mailto:)/i;
const LANGUAGE = /^[A-Za-z0-9+#._-]{1,30}/;
const ATTRIBUTES = ["dir", "class", "start"];

/**
 * A block of the outermost level: its elements, the line that it begins in, and whether what follows may still make
 * another block of it, though others stand after it.
 * @typedef {{nodes: Element[], line: number, open: boolean, code: boolean}} Block
 */

const parser = buildParser();

/**
 * The blocks of a text. Throws `TooCostly` for texts beyond the limits.
 * @param {string} text @param {any} env what link definitions are known
 * @returns {Block[]}
 */
export function blocksOf(text, env) {
  checkText(text);
  const tokens = parser.parse(text, env);
  /** @type {Block[]} */
  const blocks = [];
  let line = 0;
  for (let index = 0; index < tokens.length; ) {
    let end = index + 1;
    for (let depth = tokens[index].nesting; depth > 0; end += 1) depth += tokens[end].nesting;
    line = tokens[index].map?.[0] ?? line;
    const part = tokens.slice(index, end);
    const inline = part[1]?.type === "inline" ? part[1].content : "";
    const code = part.findLast((one) => one.nesting >= 0)?.type === "fence";
    blocks.push({ nodes: elementsOf(part), line, open: mayBecomeFormula(inline), code });
    index = end;
  }
  return blocks;
}

/**
 * A whole text, as the server would show it: one beyond the limits as it was written, with a note.
 * @param {string} text @returns {Element[]}
 */
export function finished(text) {
  if (!text) return [];
  try {
    const nodes = blocksOf(text, {}).flatMap((block) => block.nodes);
    return nodes.length ? nodes : [plain(text)];
  } catch (error) {
    if (!(error instanceof TooCostly)) console.error(error);
    const note = make("p", { class: "plain-note" });
    note.textContent = NOTE;
    return [plain(text), note];
  }
}

/** @param {string} text */
export function plain(text) {
  const block = make("div", { class: "plain" });
  block.textContent = text;
  return block;
}

/** @param {string} tag @param {Record<string, string>} attributes @param {Node[]} children */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** @param {any[]} tokens @returns {any[]} */
function elementsOf(tokens) {
  const root = document.createDocumentFragment();
  /** @type {(Element | DocumentFragment)[]} */
  const open = [root];
  for (const token of tokens) write(token, open);
  root.normalize();
  return [...root.children];
}

/** @param {any} token @param {(Element | DocumentFragment)[]} open the elements that the token stands in, the innermost last */
function write(token, open) {
  const top = open[open.length - 1];
  if (token.type === "inline") for (const child of token.children) write(child, open);
  else if (token.hidden) return;
  else if (token.type === "table_open") {
    const scroller = top.appendChild(make("div", { class: "table-scroll", tabindex: "0" }));
    open.push(scroller, scroller.appendChild(begin(token)));
  } else if (token.nesting > 0) open.push(top.appendChild(begin(token)));
  else if (token.nesting < 0) {
    open.pop();
    if (token.type === "table_close") open.pop(); // its scroller
  } else top.append(leaf(token));
}

/** @param {any} token @returns {Element} */
function begin(token) {
  if (token.type === "link_open") return link(token.attrGet("href"));
  const attributes = Object.fromEntries((token.attrs ?? []).filter((/** @type {string[]} */ [name]) => ATTRIBUTES.includes(name)));
  return make(token.tag, attributes);
}

/** @param {any} token @returns {Node | string} */
function leaf(token) {
  switch (token.type) {
    case "text":
      return token.content;
    case "softbreak":
    case "hardbreak":
      return make("br");
    case "hr":
      return make("hr");
    case "code_inline":
      return make("code", { dir: "ltr" }, new Text(token.content));
    case "fence":
      return codeBlock(token.content, LANGUAGE.exec(token.info.trim())?.[0]);
    case "code_block":
      return codeBlock(token.content);
    case "math":
      return make("span", { class: token.meta.display ? "math display" : "math", dir: "ltr" }, new Text(token.content));
    case "math_block":
      return make("div", { class: "math display", dir: "ltr" }, new Text(token.content));
    case "footnote_ref":
      return make("sup", { class: "footnote" }, new Text(token.content));
    case "image":
      return image(token);
    default:
      return token.content;
  }
}

/** @param {string} code @param {string} [language] */
function codeBlock(code, language) {
  const attributes = { class: "code", dir: "ltr", ...(language ? { "data-language": language } : {}) };
  return make("pre", attributes, make("code", {}, new Text(code)));
}

/** @param {string} address */
function link(address) {
  const made = make("a", LINK.test(address) ? { href: address } : {});
  made.setAttribute("target", "_blank");
  made.setAttribute("rel", "noopener noreferrer nofollow");
  return made;
}

/** An image becomes a link that names it: nothing is loaded. Within a link it is its words. @param {any} token */
function image(token) {
  const source = token.attrGet("src") ?? "";
  const words = parser.renderer.renderInlineAsText(token.children ?? [], parser.options, {});
  if (token.meta?.linked) return words || source || "image";
  const made = link(source);
  made.className = "outside-image";
  made.textContent = words || source || "image";
  return made;
}
