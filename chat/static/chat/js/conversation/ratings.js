/** Thumbs up and down below an answer, with a reason: staff see them, other members do not. */

import { showNote } from "antiphon/conversation/status";
import { showCost, showRating } from "antiphon/conversation/message-marks";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

export class Ratings {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.dialog = /** @type {HTMLDialogElement} */ (document.getElementById("rating"));
    this.form = /** @type {HTMLFormElement} */ (this.dialog.querySelector("form"));
    this.error = /** @type {HTMLElement} */ (this.form.querySelector(".field-error"));
    this.view = /** @type {MessageView | null} */ (null);
    this.value = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.giveReason();
    });
    this.form.querySelector("[data-cancel]")?.addEventListener("click", () => this.dialog.close());
    conversation.listeners.push((frame) => this.onFrame(frame));
  }

  /** Rates an answer, or takes the rating back. @param {HTMLElement} button @param {MessageView} view */
  async toggle(button, view) {
    const before = Number(view.element.dataset.rated ?? 0);
    const value = before === Number(button.dataset.value) ? 0 : Number(button.dataset.value);
    showRating(view, value);
    try {
      await this.conversation.socket.request({ type: "message.rate", message_id: view.id, value });
    } catch (error) {
      showRating(view, before);
      throw error;
    }
    this.conversation.announcer.say(value === 0 ? t("Rating taken back") : value > 0 ? t("Rated good") : t("Rated bad"));
    if (value < 0) this.open(view, value);
    else if (value > 0) showNote(t("Rated good."), { label: t("Say why"), run: () => this.open(view, value) });
  }

  /** Asks for the reason. @param {MessageView} view @param {number} value */
  open(view, value) {
    this.view = view;
    this.value = value;
    this.form.reset();
    this.say("");
    const title = this.dialog.querySelector("h2");
    if (title) title.textContent = value > 0 ? t("What was good about it?") : t("What was wrong with it?");
    this.dialog.showModal();
  }

  /** @param {string} words */
  say(words) {
    this.error.textContent = words;
    this.error.hidden = !words;
  }

  async giveReason() {
    const note = String(new FormData(this.form).get("note") ?? "").trim();
    try {
      const command = { type: "message.rate", message_id: this.view?.id, value: this.value };
      if (note) await this.conversation.socket.request({ ...command, note });
    } catch (error) {
      return this.say(/** @type {Error} */ (error).message);
    }
    this.dialog.close();
    return showNote(t("Thank you."));
  }

  /** Another tab of the reader, or what an answer cost the reader. @param {Frame} frame */
  onFrame(frame) {
    const view = frame.message_id ? this.conversation.transcript.find(frame.message_id) : undefined;
    if (!view) return;
    if (frame.type === "message.rated") showRating(view, frame.value);
    else if (frame.type === "run.cost") showCost(view, frame.cost);
  }
}
