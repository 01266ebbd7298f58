/**
 * Shows what a tool got or returned: JSON as a tree, lists of flat objects and CSV as tables, the rest as text. All of
 * it is text content, and bounded: a part that is not open has no elements.
 */

import { t, tn } from "antiphon/lib/texts";

const MOST_ROWS = 200; // of a table
const MOST_COLUMNS = 20;
const MOST_ENTRIES = 200; // of one object or list
const OPEN_ENTRIES = 12; // a part with at most as many is open from the beginning
const OPEN_DEPTH = 2;
const LONGEST_TEXT = 2_000; // code points of one value in the tree
const LONGEST_CELL = 300;
const ESCAPES = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-Z\\-_]/g; // of terminals
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/**
 * @param {HTMLElement} text the element with the plain text; what is made of it stands in front of it
 * @param {string} value as the server sent it, perhaps cut
 * @param {number} chars how long it is as a whole
 */
export function showValue(text, value, chars) {
  const place = text.parentElement;
  for (const old of place?.querySelectorAll(":scope > .value, :scope > .value-note") ?? []) old.remove();
  const shown = value.replace(ESCAPES, "").replace(CONTROLS, "");
  text.textContent = shown;
  text.hidden = false;
  const made = viewOf(shown);
  if (made) {
    const box = element("div", "value");
    box.tabIndex = 0; // it scrolls, so the keyboard must reach it
    box.append(made);
    text.before(box);
    text.hidden = true;
  }
  if (chars > value.length) text.after(element("p", "value-note", tn("The first {shown} of {count} character.", "The first {shown} of {count} characters.", chars, { shown: value.length })));
}

/** @param {string} text @returns {HTMLElement | null} null: it is shown as it is */
function viewOf(text) {
  const start = text.trimStart()[0];
  if (start === "{" || start === "[") {
    try {
      const value = JSON.parse(text);
      return (Array.isArray(value) && tableOfObjects(value)) || tree(value, 0);
    } catch {
      return null; // cut, or no JSON
    }
  }
  const rows = readCsv(text);
  return rows ? table(rows[0], rows.slice(1)) : null;
}

/** @param {any[]} list @returns {HTMLElement | null} null: it is no list of flat objects */
function tableOfObjects(list) {
  const isFlat = list.length > 1 && list.every((one) => isObject(one) && Object.values(one).every((value) => !isObject(value) && !Array.isArray(value)));
  if (!isFlat) return null;
  const columns = [...new Set(list.flatMap((one) => Object.keys(one)))];
  if (!columns.length || columns.length > MOST_COLUMNS) return null;
  return table(columns, list.map((one) => columns.map((name) => (one[name] === undefined || one[name] === null ? "" : String(one[name])))));
}

/** @param {string[]} head @param {string[][]} rows */
function table(head, rows) {
  const made = element("table", "value-table");
  const top = made.appendChild(element("thead")).appendChild(element("tr"));
  for (const name of head) top.append(Object.assign(element("th", "", name), { scope: "col" }));
  const body = made.appendChild(element("tbody"));
  for (const row of rows.slice(0, MOST_ROWS)) {
    const line = body.appendChild(element("tr"));
    for (const value of row) line.append(element("td", "", cut(value, LONGEST_CELL)));
  }
  if (rows.length <= MOST_ROWS) return made;
  const both = element("div");
  both.append(made, element("p", "value-note", tn("The first {shown} of {count} row.", "The first {shown} of {count} rows.", rows.length, { shown: MOST_ROWS })));
  return both;
}

/** @param {any} value @param {number} depth @returns {HTMLElement} */
function tree(value, depth) {
  const list = element("ul", depth ? "value-tree" : "value-tree value-root");
  const entries = /** @type {[string, any][]} */ (Object.entries(value));
  for (const [name, one] of entries.slice(0, MOST_ENTRIES)) list.append(entry(name, one, depth));
  if (!entries.length) list.append(element("li", "value-none", Array.isArray(value) ? t("An empty list") : depth ? t("An empty object") : t("Nothing")));
  if (entries.length > MOST_ENTRIES) list.append(element("li", "value-none", tn("and {count} more", "and {count} more", entries.length - MOST_ENTRIES)));
  return list;
}

/** @param {string} name @param {any} value @param {number} depth */
function entry(name, value, depth) {
  const item = element("li");
  const key = element("span", "value-key", cut(name, LONGEST_CELL));
  if (!isObject(value) && !Array.isArray(value)) {
    const kind = value === null ? "null" : typeof value;
    item.append(key, element("span", `value-${kind}`, cut(String(value), LONGEST_TEXT)));
    return item;
  }
  const size = Object.keys(value).length;
  const part = /** @type {HTMLDetailsElement} */ (item.appendChild(element("details")));
  const line = part.appendChild(element("summary"));
  line.append(key, element("span", "value-size", Array.isArray(value) ? `[${size}]` : `{${size}}`));
  part.addEventListener("toggle", () => part.open && part.childElementCount === 1 && part.append(tree(value, depth + 1)));
  part.open = depth < OPEN_DEPTH && size <= OPEN_ENTRIES;
  return item;
}

/**
 * Reads comma-, semicolon- or tab-separated values (RFC 4180).
 * @param {string} text
 * @returns {string[][] | null} null: it is none, or hardly: fewer than 3 rows of 2 columns, all of one length
 */
export function readCsv(text) {
  const first = text.slice(0, text.indexOf("\n") + 1 || text.length);
  const separator = ["\t", ";", ","].find((one) => first.includes(one));
  if (!separator) return null;
  /** @type {string[][]} */
  const rows = [];
  let [row, field, quoted] = [/** @type {string[]} */ ([]), "", false];
  const endField = () => (row.push(field), (field = ""));
  const endRow = () => (endField(), rows.push(row), (row = []));
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') field += sign;
      else if (text[at + 1] === '"') field += text[(at += 1)];
      else quoted = false;
    } else if (sign === '"' && !field) quoted = true;
    else if (sign === separator) endField();
    else if (sign === "\n") endRow();
    else if (sign !== "\r") field += sign;
  }
  if (field || row.length) endRow();
  const width = rows[0]?.length ?? 0;
  const isTable = rows.length >= 3 && width >= 2 && width <= MOST_COLUMNS && rows.every((one) => one.length === width);
  // Prose has commas, too: names of columns are short, and no sentences.
  return isTable && rows[0].every((name) => name.trim().length > 0 && name.length <= 40 && !/[.!?]\s*$/.test(name)) ? rows : null;
}

/** @param {any} value */
function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** @param {string} text @param {number} most in UTF-16 units */
function cut(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** @param {string} tag @param {string} [name] @param {string} [text] */
function element(tag, name = "", text = undefined) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  if (text !== undefined) made.dir = "auto";
  return made;
}
