/** The field in which a message is edited: the text becomes another version of it, or its own. */

import { linkToCases } from "antiphon/conversation/moderation";
import { attachButton, editFiles } from "antiphon/files/edited-files";
import { isComposing } from "antiphon/lib/keys";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */

/**
 * Opens an editor in a message; one at a time.
 * @param {MessageView} view
 * @param {(text: string, files: string[]) => Promise<unknown>} send rejects with a sentence for the person; `files`: their ids
 * @param {{verb?: string, conversation?: import("antiphon/conversation/conversation").Conversation}} [how] `verb`: what the
 *   button says; with a `conversation`, the message's files can be changed
 */
export function openEditor(view, send, { verb = t("Send"), conversation } = {}) {
  document.querySelector(".editor [data-close]")?.dispatchEvent(new Event("click"));
  const form = document.createElement("form");
  form.className = "editor";
  const field = document.createElement("textarea");
  field.setAttribute("aria-label", t("Edit message"));
  field.dir = "auto";
  field.value = view.text;
  const trouble = make("p", "field-error", "");
  trouble.setAttribute("role", "alert");
  const cancel = /** @type {HTMLButtonElement} */ (make("button", "button button-small", t("Cancel")));
  cancel.type = "button";
  cancel.dataset.close = "";
  const submit = /** @type {HTMLButtonElement} */ (make("button", "button button-small button-primary", verb));
  const actions = make("div", "actions", "");
  const box = conversation ? editFiles(conversation, view, field, form) : null;
  if (box) actions.append(attachButton(box));
  actions.append(trouble, cancel, submit);
  form.append(...(box ? [box.element] : []), field, actions);
  view.element.classList.add("is-edited");
  view.element.append(form);

  const fit = () => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + 2}px`;
  };
  const close = () => {
    form.remove();
    box?.leave();
    view.element.classList.remove("is-edited");
    /** @type {HTMLElement | null} */ (view.element.querySelector("[data-action=edit], [data-action=message-menu]"))?.focus();
  };
  field.addEventListener("input", fit);
  field.addEventListener("keydown", (event) => {
    if (isComposing(event)) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  cancel.addEventListener("click", close);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!field.value.trim() && !box?.count) return;
    if (box?.pending.length) return box.tell(t("The files are still being uploaded. Send the message when they are."));
    if (box?.stuck.length) return box.tell(t("{name} is not uploaded. Remove it or try again, then send.", { name: box.stuck[0].name }));
    submit.disabled = true;
    try {
      await send(field.value, box?.fileIds ?? []);
      close();
    } catch (error) {
      trouble.textContent = error instanceof Error ? error.message : t("Something went wrong. Try again.");
      if (/** @type {any} */ (error).code === "moderated") trouble.append(" ", linkToCases());
      submit.disabled = false;
    }
    return undefined;
  });
  fit();
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

/** @param {string} tag @param {string} className @param {string} text @returns {HTMLElement} */
function make(tag, className, text) {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}
