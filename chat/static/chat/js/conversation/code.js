/** Dresses the parts of a finished answer: code blocks, tables, diagrams, formulas and images from elsewhere. */

import { setFormulas } from "antiphon/conversation/formulas";
import { recall } from "antiphon/lib/storage";
import { t, tn } from "antiphon/lib/texts";

const FOLD_ABOVE = 40; // lines
const PREVIEWED = /^(?:html|svg)$/i; // languages
const TRIES = 4; // of loading what draws diagrams
export const WRAP = "wrap-code"; // the key in this browser's storage, and the class of the page

/** @type {typeof import("antiphon/conversation/diagrams") | null} */
let diagrams = null;

document.documentElement.classList.toggle(WRAP, recall(WRAP) === "1");

/**
 * Gives a finished answer what its HTML lacks.
 * @param {ParentNode} body @param {boolean} [fold] whether long code shows its first lines only
 */
export function dressAnswer(body, fold = false) {
  dressCode(body, fold);
  setFormulas(body);
}

/** @param {ParentNode} body a finished answer, or blocks of one @param {boolean} [fold] */
export function dressCode(body, fold = false) {
  for (const pre of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll("pre.code"))) {
    if (!pre.parentElement?.classList.contains("code-block")) dressBlock(pre, fold);
  }
  for (const scroller of body.querySelectorAll(".table-scroll")) {
    const tools = scroller.parentElement?.classList.contains("table-block") ? null : cloneOf("table-tools");
    if (!tools) continue;
    const block = document.createElement("div");
    block.className = "table-block";
    scroller.replaceWith(block);
    block.append(scroller, tools);
  }
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (body.querySelectorAll("a.outside-image:not([title])"))) {
    link.title = t("Images from other sites aren’t loaded, because those sites would learn who reads this. The link opens the image in a new tab.");
  }
}

/** @param {HTMLElement} pre @param {boolean} fold */
function dressBlock(pre, fold) {
  const block = document.createElement("div");
  block.className = "code-block";
  pre.replaceWith(block);
  pre.tabIndex = 0; // it scrolls sideways, so the keyboard must reach it
  const head = cloneOf("code-head");
  const language = head?.querySelector(".code-language");
  if (language) language.textContent = pre.dataset.language ?? "";
  const preview = /** @type {HTMLElement | null} */ (head?.querySelector("[data-action=part-preview]") ?? null);
  if (preview && PREVIEWED.test(pre.dataset.language ?? "")) preview.hidden = false;
  block.append(...(head ? [head] : []), pre);
  const lines = countLines(pre.textContent ?? "");
  if (pre.dataset.language === "mermaid") dressDiagram(block);
  else if (head && fold && lines > FOLD_ABOVE) {
    const more = cloneOf("code-more");
    const words = more?.querySelector("span");
    if (!more || !words) return;
    words.textContent = tn("Show all {count} lines", "Show all {count} lines", lines);
    block.classList.add("is-folded");
    block.append(more);
    // The browser's own search, and the keyboard, can reach what is folded.
    pre.addEventListener("scroll", () => pre.scrollTop && unfold(/** @type {Element} */ (pre.parentElement)), { passive: true });
  }
}

/** @param {Element} block a code block */
export function unfold(block) {
  block.classList.remove("is-folded");
  block.querySelector(".code-more")?.remove();
}

/**
 * Draws a diagram: at once where it was drawn before. Later, its source is found in the page again, as what was dressed
 * may have been merged into what the page had.
 * @param {HTMLElement} block
 */
function dressDiagram(block) {
  if (diagrams?.place(block)) return;
  const { dataset } = document.documentElement;
  dataset.drawing = "1"; // what prints the page waits for it
  const source = block.querySelector("pre")?.textContent ?? "";
  loadDiagrams().then(
    (module) => module.draw(source),
    () => {
      delete dataset.drawing;
      for (const pre of document.querySelectorAll(".code-block > pre[data-language=mermaid]:not(:has(~ .diagram))")) {
        const figure = Object.assign(document.createElement("figure"), { className: "diagram" });
        figure.append(Object.assign(document.createElement("figcaption"), { textContent: t("This diagram can’t be drawn now. Reload the page to try again.") }));
        pre.after(figure); // the source stays
      }
    },
  );
}

/** What draws diagrams: tried again some times, as a connection may be lost for a moment. @returns {Promise<typeof import("antiphon/conversation/diagrams")>} */
async function loadDiagrams() {
  for (let tries = 1; ; tries += 1) {
    try {
      return (diagrams ??= await import("antiphon/conversation/diagrams"));
    } catch (error) {
      if (tries >= TRIES) throw error;
      await new Promise((done) => setTimeout(done, tries * 1000));
    }
  }
}

/** @param {string} text */
function countLines(text) {
  let count = text.endsWith("\n") ? 0 : 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

/** @param {string} id of a template @returns {DocumentFragment | null} null: this page has none, or an empty one */
function cloneOf(id) {
  const blank = /** @type {HTMLTemplateElement | null} */ (document.getElementById(id));
  return blank?.content.childElementCount ? /** @type {DocumentFragment} */ (blank.content.cloneNode(true)) : null;
}

/**
 * Copies text; works on plain http too, where the clipboard API is missing.
 * @param {string} text
 */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copying was refused");
}

/** Shows a check mark on a button for a moment. @param {Element} button @param {string} sprite */
export function confirmOn(button, sprite) {
  const use = button.querySelector("use");
  const before = use?.getAttribute("href");
  if (!use || !before || before.endsWith("#check")) return;
  use.setAttribute("href", `${sprite}#check`);
  setTimeout(() => use.setAttribute("href", before), 1500);
}
