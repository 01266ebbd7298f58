/**
 * Shows HTML and SVG of an answer as a page, once the reader asks for it. It runs in a sandboxed frame without an
 * origin and without a network, so that it can neither read anything of the site nor send anything.
 */

import { loadStyles } from "antiphon/files/loader";
import { t, tc } from "antiphon/lib/texts";

/** @param {HTMLElement} block a code block @param {HTMLElement} button @param {(words: string) => void} say tells a screen reader */
export async function togglePreview(block, button, say) {
  const label = button.querySelector("span");
  const shown = block.querySelector(".preview");
  if (shown) {
    shown.remove();
    block.classList.remove("shows-preview");
    if (label) label.textContent = t("Preview");
    return say(t("The source is shown."));
  }
  await loadStyles();
  const pre = /** @type {HTMLElement} */ (block.querySelector("pre"));
  const place = Object.assign(document.createElement("div"), { className: "preview" });
  const note = Object.assign(document.createElement("p"), { textContent: t("Written by the model. Nothing is loaded from other sites.") });
  place.append(buildFrame(pre.textContent ?? "", pre.dataset.language ?? ""), note);
  block.append(place);
  block.classList.add("shows-preview");
  if (label) label.textContent = tc("source of a preview", "Code");
  return say(t("The preview is shown."));
}

/** @param {string} text @param {string} language */
function buildFrame(text, language) {
  const frame = document.createElement("iframe");
  frame.title = t("Preview of the code");
  frame.setAttribute("sandbox", "allow-scripts");
  const html = /svg/i.test(language)
    ? `<!doctype html><meta charset="utf-8"><style>body{margin:0;min-height:100vh;display:grid;place-items:center}svg{max-width:100%;max-height:100vh}</style>${text}`
    : text;
  const give = (/** @type {MessageEvent} */ event) => {
    if (!frame.isConnected) return removeEventListener("message", give);
    if (event.source !== frame.contentWindow || !event.data?.ready) return undefined;
    removeEventListener("message", give);
    return frame.contentWindow?.postMessage({ html }, "*");
  };
  addEventListener("message", give);
  frame.src = document.getElementById("code-head")?.dataset.previews ?? "";
  return frame;
}
