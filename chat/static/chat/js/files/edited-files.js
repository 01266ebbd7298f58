/** The files of a message that is being edited: those that it has are kept, unless they are removed. */

import { t } from "antiphon/lib/texts";
import { icon } from "antiphon/files/icons";
import { FileBox } from "antiphon/files/file-box";
import { filesOf } from "antiphon/files/message-files";
import { chooseSource } from "antiphon/files/source-menu";

/**
 * @param {import("antiphon/conversation/conversation").Conversation} conversation
 * @param {import("antiphon/conversation/message").MessageView} view @param {HTMLTextAreaElement} field @param {HTMLElement} form
 */
export function editFiles(conversation, view, field, form) {
  const { page, announcer } = conversation;
  const box = new EditedFiles({ page, field, say: (words) => announcer.say(words), onChange: () => {} });
  box.adopt(filesOf(view.element));
  const hear = (/** @type {any} */ frame) => frame.type === "file.updated" && box.update(frame.file);
  conversation.listeners.push(hear);
  conversation.withFiles((files) => (files.editor = form.isConnected ? box : null));
  box.leave = () => {
    conversation.listeners.splice(conversation.listeners.indexOf(hear), 1);
    for (const entry of [...box.entries]) if (!entry.file) box.remove(entry);
    if (conversation.composer.files?.editor === box) conversation.composer.files.editor = null;
  };
  return box;
}

class EditedFiles extends FileBox {
  leave = () => {};

  get fileIds() {
    return this.entries.flatMap((entry) => (entry.file ? [entry.file.id] : []));
  }
}

/** @param {FileBox} box */
export function attachButton(box) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "icon-button editor-attach", title: t("Attach files") });
  button.setAttribute("aria-label", t("Attach files"));
  button.append(icon("attach"));
  button.addEventListener("click", () => chooseSource(button, box));
  return button;
}
