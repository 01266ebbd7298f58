/** The menu of one message: edit it in place, fork the conversation from it, delete it. */

import { choicesOf, moveInMenu } from "antiphon/lib/keys";
import { showNote } from "antiphon/conversation/status";
import { FetchError, post } from "antiphon/lib/fetch";
import { cleanText } from "antiphon/lib/text";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */

const BLANK = "00000000-0000-0000-0000-000000000000";

export class MessageMenu {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.menu = /** @type {HTMLElement} */ (document.getElementById("message-menu"));
    this.view = /** @type {MessageView | null} */ (null);
    this.button = /** @type {HTMLElement | null} */ (null);
    this.sure = false; // the next choice of "Delete" deletes
    this.menu.addEventListener("click", (event) => this.onClick(event));
    this.menu.addEventListener("keydown", (event) => moveInMenu(event, this.menu));
    this.menu.addEventListener("toggle", (event) => {
      const isOpen = /** @type {ToggleEvent} */ (event).newState === "open";
      this.button?.setAttribute("aria-expanded", String(isOpen));
    });
  }

  /** @param {string} name @returns {HTMLElement} */
  choice(name) {
    return /** @type {HTMLElement} */ (this.menu.querySelector(`[data-choice=${name}]`));
  }

  /** @param {HTMLElement} button @param {MessageView} view */
  open(button, view) {
    this.view = view;
    this.button = button;
    this.askToDelete(false);
    const { page } = this.conversation;
    const writes = page.role !== "viewer" && !page.suspended;
    const own = view.element.hasAttribute("data-own");
    const deleted = view.element.hasAttribute("data-deleted");
    this.choice("edit").hidden = !writes || deleted || !view.text || (view.role === "user" && !own);
    this.choice("delete").hidden = !writes || deleted || (view.role === "user" && !own && page.role !== "owner");
    const from = button.getBoundingClientRect();
    this.menu.showPopover();
    const size = this.menu.getBoundingClientRect();
    const top = from.bottom + size.height + 8 > innerHeight ? Math.max(8, from.top - size.height - 4) : from.bottom + 4;
    const left = Math.max(8, Math.min(from.left, innerWidth - size.width - 8));
    Object.assign(this.menu.style, { left: `${left}px`, top: `${top}px` });
    choicesOf(this.menu)[0].focus();
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const item = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-choice]"));
    const { view } = this;
    if (!item || !view) return;
    const name = item.dataset.choice;
    if (name === "delete" && !this.sure) {
      this.askToDelete(true);
      this.conversation.announcer.say(t("Its text is removed for everyone. Choose again to delete."));
      return;
    }
    this.menu.hidePopover();
    this.carryOut(() => (name === "edit" ? this.edit(view) : name === "fork" ? this.fork(view) : this.delete(view)));
  }

  /** The first choice asks, the second one deletes. @param {boolean} sure */
  askToDelete(sure) {
    this.sure = sure;
    const words = this.choice("delete").querySelector("span");
    if (words) words.textContent = sure ? t("Delete for everyone") : t("Delete");
  }

  /** @param {() => Promise<unknown>} work */
  carryOut(work) {
    work().catch((error) => {
      if (!(error instanceof FetchError)) throw error;
      showNote(error.message);
    });
  }

  /** @param {string} url of a message @param {MessageView} view @param {Record<string, string>} [fields] */
  send(url, view, fields) {
    return post(url.replace(BLANK, view.id), this.conversation.page.csrf, fields);
  }

  /** @param {MessageView} view */
  async edit(view) {
    const { openEditor } = await import("antiphon/conversation/editor");
    const { urls } = this.conversation.page;
    const seen = view.element.dataset.edited ?? "";
    openEditor(view, (text) => this.send(urls.edit, view, { text: cleanText(text), seen }), { verb: t("Save") });
  }

  /** @param {MessageView} view */
  async fork(view) {
    const made = await this.send(this.conversation.page.urls.fork, view);
    location.assign(made.url);
  }

  /** @param {MessageView} view */
  async delete(view) {
    await this.send(this.conversation.page.urls.delete, view);
    this.conversation.announcer.say(t("Message deleted"));
    view.element.focus({ preventScroll: true });
  }
}
