/**
 * Whether the next message asks the model. Alone, every message does. In a conversation of several people the page says
 * so for each message, and its sender can change it: with a switch, or by Ctrl + Enter. The server has the same rule.
 */

import { mentionsModel } from "antiphon/conversation/mention-text";

/** @typedef {import("antiphon/conversation/composer").Composer} Composer */
/** @typedef {import("antiphon/conversation/picker").Picker} Picker */

export class Asking {
  /**
   * @param {any} page what the server put into the page
   * @param {Composer} composer
   * @param {Picker} picker
   */
  constructor(page, composer, picker) {
    this.page = page;
    this.composer = composer;
    this.picker = picker;
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("ask"));
    this.chosen = /** @type {boolean | null} */ (null); // by the switch, for the next message only
    this.button.addEventListener("click", () => {
      this.chosen = !this.wouldAsk(composer.field.value);
      this.show();
      composer.field.focus();
    });
    composer.field.addEventListener("input", () => this.show());
    document.addEventListener("close", () => this.show(), { capture: true }); // of the picker: several models are asked
    this.show();
  }

  /** Whether there is a choice: with others, or where one person wants to be answered only when they ask. */
  get isShared() {
    return Boolean(this.page.conversation_id) && ((this.page.members ?? []).length > 1 || this.page.answers === "mentioned");
  }

  /** @param {string} text */
  wouldAsk(text) {
    if (!this.isShared) return true;
    if (this.chosen !== null) return this.chosen;
    return this.page.answers === "always" || Boolean(this.picker.compared) || mentionsModel(text, this.picker.models);
  }

  /**
   * What is sent with a message: whether it asks; nothing where there is no choice.
   * @param {string} text @param {boolean} forced by Ctrl + Enter @returns {boolean | undefined}
   */
  decide(text, forced) {
    return this.isShared ? forced || this.wouldAsk(text) : undefined;
  }

  /** A message was sent: the switch goes back. */
  sent() {
    this.chosen = null;
    this.show();
  }

  /** The conversation's rule or its members have changed. @param {import("antiphon/wire/protocol").Frame} event */
  apply(event) {
    if (!event.answers) return;
    this.page.answers = event.answers;
    this.show();
  }

  show() {
    const { button, composer, isShared } = this;
    const asks = this.wouldAsk(composer.field.value);
    const alone = (this.page.members ?? []).length < 2;
    document.body.toggleAttribute("data-shared", !alone);
    button.hidden = !isShared;
    button.setAttribute("aria-pressed", String(asks));
    button.title = (asks ? button.dataset.on : button.dataset.off) ?? "";
    const { hintOn, hintOff, hintAlone, people, note } = button.dataset;
    const hint = asks ? hintOn : alone ? hintAlone : hintOff;
    composer.explain(isShared ? hint : "", isShared && !asks ? (alone ? note : people) : "");
    composer.mayInterject = isShared && !asks;
    composer.show();
  }
}
