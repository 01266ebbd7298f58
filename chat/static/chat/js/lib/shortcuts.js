/** Keyboard shortcuts, all listed in the help dialog, where single keys can be switched off (WCAG 2.1.4); and dialogs. */

import { isComposing } from "antiphon/lib/keys";
import { lazily } from "antiphon/lib/sheets";
import { showFailure } from "antiphon/sidebar/failure";
import { recall } from "antiphon/lib/storage";

/** @param {import("antiphon/conversation/conversation").Conversation} conversation @param {import("antiphon/sidebar/sidebar").Sidebar} sidebar */
export function startShortcuts(conversation, sidebar) {
  const help = lazily(() => import("antiphon/lib/help"), ({ Help }) => new Help());
  const showHelp = () => void help().then((dialog) => dialog.open()).catch(showFailure);
  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (target instanceof HTMLDialogElement) target.close(); // a click beside it
    if (target.closest("[data-action=help]")) showHelp();
  });

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isComposing(event) || document.querySelector("dialog:modal")) return;
    const writing = /** @type {Element} */ (event.target).closest?.("input, textarea, select, [contenteditable]");
    const command = (event.ctrlKey || event.metaKey) && event.shiftKey && !event.altKey;
    const key = event.key.toLowerCase();
    if (command && key === "o") location.assign(conversation.page.urls.root);
    else if (command && key === "s") sidebar.toggle();
    else if (command && key === "y") copyLast(conversation);
    else if (event.altKey && !event.ctrlKey && !event.metaKey && event.code === "KeyM") conversation.picker.open();
    else if (event.altKey && !event.ctrlKey && !event.metaKey && event.code === "KeyP") conversation.parameters.toggle();
    else if (event.altKey && (key === "arrowup" || key === "arrowdown")) walk(conversation, key === "arrowup" ? -1 : 1);
    else if (key === "escape" && conversation.transcript.running && !document.querySelector(":popover-open")) conversation.stop();
    else if (!writing && recall("single-keys") !== "off" && !event.ctrlKey && !event.metaKey && !event.altKey && key === "/") conversation.composer.field.focus();
    else if (!writing && recall("single-keys") !== "off" && !event.ctrlKey && !event.metaKey && !event.altKey && key === "?") showHelp();
    else return;
    event.preventDefault();
  });
}

/** @param {import("antiphon/conversation/conversation").Conversation} conversation */
function copyLast(conversation) {
  const view = conversation.transcript.path.findLast((one) => one.role === "assistant" && !one.active);
  /** @type {HTMLElement | null | undefined} */ (view?.element.querySelector("[data-action=copy]"))?.click();
}

/** Moves the focus from message to message. @param {import("antiphon/conversation/conversation").Conversation} conversation @param {number} step */
function walk(conversation, step) {
  const { path } = conversation.transcript;
  const at = path.findIndex((view) => view.element.contains(document.activeElement));
  const next = at < 0 ? (step < 0 ? path.length - 1 : 0) : at + step;
  path[Math.max(0, Math.min(path.length - 1, next))]?.element.focus();
}
