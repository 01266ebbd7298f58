/**
 * Sets the formulas of an answer, as MathML. What sets them is loaded with the first one. The TeX stays in `data-tex`,
 * and is what one copies.
 */

const MOST = 2_000; // characters of a formula

/** @type {any} */
let temml = null;
/** @type {Promise<void> | null} */
let loading = null;
/** Formulas that were set, by their display and TeX. @type {Map<string, Element | null>} */
const made = new Map();

/** Sets what is not set yet in an element; soon, where the first formula has to load. @param {ParentNode} root */
export function setFormulas(root) {
  const open = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".math:not([data-tex])"));
  if (!open.length) return;
  if (temml) for (const one of open) set(one);
  else (loading ??= load()).then(() => setFormulas(root), () => (loading = null)); // offline: TeX stays, the next one tries again
}

/** A classic script and its style sheet, by the page's import map. @returns {Promise<void>} */
function load() {
  const { resolve } = /** @type {any} */ (import.meta);
  const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: resolve("temml.css") });
  const script = Object.assign(document.createElement("script"), { src: resolve("temml"), async: true });
  document.head.append(sheet, script);
  document.addEventListener("copy", copy);
  return new Promise((done, fail) => {
    script.onload = () => {
      temml = /** @type {any} */ (globalThis).temml;
      done();
    };
    script.onerror = () => fail(new Error("formulas could not be loaded"));
  });
}

/** @param {HTMLElement} element */
function set(element) {
  const tex = element.textContent ?? "";
  const display = element.classList.contains("display");
  const key = `${display} ${tex}`;
  if (!made.has(key)) {
    if (made.size > 1_000) made.clear();
    made.set(key, toMath(tex, display));
  }
  const math = made.get(key);
  element.dataset.tex = tex;
  if (math) element.replaceChildren(math.cloneNode(true));
}

/** Null for what is no TeX: it is shown as it was written. @param {string} tex @param {boolean} display @returns {Element | null} */
function toMath(tex, display) {
  if (tex.length > MOST) return null;
  const place = document.createElement("span");
  try {
    temml.render(tex, place, { displayMode: display, throwOnError: true, trust: false, maxSize: [20, 100], maxExpand: 500 });
  } catch {
    return null;
  }
  return place.firstElementChild;
}

/** What is copied has the TeX of each formula, in the delimiters that every editor knows. @param {ClipboardEvent} event */
function copy(event) {
  const selection = getSelection();
  if (!selection?.rangeCount || !event.clipboardData || event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
  const range = wholeFormulas(selection.getRangeAt(0).cloneRange());
  const place = document.createElement("div");
  place.append(range.cloneContents());
  const formulas = /** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll(".math[data-tex]"));
  if (!formulas.length) return;
  for (const one of formulas) {
    const mark = one.classList.contains("display") ? "$$" : "$";
    one.replaceChildren(`${mark}${one.dataset.tex}${mark}`);
  }
  place.className = "copied-text";
  document.body.append(place); // only what is laid out has line ends
  event.clipboardData.setData("text/plain", place.innerText);
  event.clipboardData.setData("text/html", place.innerHTML);
  place.remove();
  event.preventDefault();
}

/** Formulas that are selected in part are copied whole. @param {Range} range */
function wholeFormulas(range) {
  const begin = elementOf(range.startContainer)?.closest(".math[data-tex]");
  const end = elementOf(range.endContainer)?.closest(".math[data-tex]");
  if (begin) range.setStartBefore(begin);
  if (end) range.setEndAfter(end);
  return range;
}

/** @param {Node} node */
function elementOf(node) {
  return node instanceof Element ? node : node.parentElement;
}
