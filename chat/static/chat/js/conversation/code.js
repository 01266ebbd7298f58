/** Gives code blocks a header: the language and a Copy button. */

import { setFormulas } from "antiphon/conversation/formulas";

/** Gives a finished answer what its HTML lacks. @param {ParentNode} body */
export function dressAnswer(body) {
  dressCode(body);
  setFormulas(body);
}

/** @param {ParentNode} body a finished answer, or blocks of one */
export function dressCode(body) {
  const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("code-head"));
  for (const pre of body.querySelectorAll("pre")) {
    if (pre.parentElement?.classList.contains("code-block")) continue;
    const block = document.createElement("div");
    block.className = "code-block";
    pre.replaceWith(block);
    const head = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
    const language = head.querySelector(".code-language");
    if (language) language.textContent = pre.dataset.language ?? "";
    pre.tabIndex = 0; // it scrolls sideways, so the keyboard must reach it
    block.append(head, pre);
  }
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
