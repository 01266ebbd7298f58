/** The buttons of code blocks, tables and diagrams on pages without a composer. */

import { confirmOn, copyText } from "antiphon/conversation/code";
import { t } from "antiphon/lib/texts";

/** @param {HTMLElement} root */
export function listenToParts(root) {
  root.addEventListener("click", async (event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"));
    const action = button?.dataset.action ?? "";
    if (!button || !(action === "copy-code" || action.startsWith("part-"))) return;
    const copy = (/** @type {string} */ text) => copyFrom(button, text);
    if (action === "copy-code") return copy(button.closest(".code-block")?.querySelector("pre")?.textContent ?? "");
    const { actOnPart } = await import("antiphon/conversation/part-actions");
    return actOnPart(action, button, { copy, say, fail: say });
  });
}

/** @param {HTMLElement} button @param {string} text */
async function copyFrom(button, text) {
  try {
    await copyText(text);
    confirmOn(button, button.querySelector("use")?.getAttribute("href")?.split("#")[0] ?? "");
  } catch {
    say(t("Your browser didn’t allow copying."));
  }
}

/** @param {string} words */
function say(words) {
  const place = document.getElementById("announcer");
  if (place) place.textContent = words;
}
