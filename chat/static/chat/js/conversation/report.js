/** Reports a message: asks for the reason and a note, and marks the message as reported. */

import { FetchError, post } from "antiphon/lib/fetch";
import { showNote } from "antiphon/conversation/status";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */

export class ReportDialog {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.dialog = /** @type {HTMLDialogElement} */ (document.getElementById("report"));
    this.form = /** @type {HTMLFormElement} */ (this.dialog.querySelector("form"));
    this.error = /** @type {HTMLElement} */ (this.form.querySelector(".field-error"));
    this.send = /** @type {HTMLButtonElement} */ (this.form.querySelector("[type=submit]"));
    this.button = /** @type {HTMLElement | null} */ (null);
    this.id = "";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.report();
    });
    this.form.querySelector("[data-cancel]")?.addEventListener("click", () => this.dialog.close());
  }

  /** @param {HTMLElement} button @param {MessageView} view */
  open(button, view) {
    if (button.ariaPressed === "true") return showNote(t("You have reported this message."));
    if (view.active) return showNote(t("This answer is still being written. Report it when it has ended."));
    this.button = button;
    this.id = view.id;
    this.form.reset();
    this.say("");
    return this.dialog.showModal();
  }

  /** @param {string} words */
  say(words) {
    this.error.textContent = words;
    this.error.hidden = !words;
  }

  async report() {
    const { page, announcer } = this.conversation;
    const values = new FormData(this.form);
    this.send.disabled = true;
    try {
      const fields = { reason: String(values.get("reason") ?? ""), note: String(values.get("note") ?? "") };
      await post(page.urls.report.replace("00000000-0000-0000-0000-000000000000", this.id), page.csrf, fields);
    } catch (error) {
      if (!(error instanceof FetchError)) throw error;
      return this.say(error.message);
    } finally {
      this.send.disabled = false;
    }
    this.dialog.close();
    this.mark();
    announcer.say(t("Reported"));
    return showNote(t("Reported. Reviewers will look at it."));
  }

  mark() {
    const { button } = this;
    if (!button) return;
    button.ariaPressed = "true";
    button.setAttribute("aria-disabled", "true");
    button.removeAttribute("aria-haspopup");
    button.ariaLabel = button.title = t("Reported");
  }
}
