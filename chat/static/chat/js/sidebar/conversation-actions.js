/** Pins, renames, exports and deletes a conversation, from its entry in the list or its header; undoes a deletion. */

import { FetchError, post } from "antiphon/lib/fetch";
import { showNote } from "antiphon/conversation/status";
import { choicesOf, isComposing, moveInMenu } from "antiphon/lib/keys";
import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

export class ConversationActions {
  /**
   * @param {any} page what the server put into the page
   * @param {object} options
   * @param {(id: string, title: string) => void} options.onTitle
   * @param {() => void} options.onChange the list is to be read again
   * @param {(words: string) => void} options.say
   * @param {import("antiphon/sidebar/organising").Order} options.order
   */
  constructor(page, options) {
    this.page = page;
    this.options = options;
    this.menu = /** @type {HTMLElement} */ (document.getElementById("item-menu"));
    /** @type {HTMLElement | null} the entry, or the bar above the conversation shown */
    this.chosen = null;
    document.addEventListener("click", (event) => this.onClick(event));
    this.menu.addEventListener("keydown", (event) => moveInMenu(event, this.menu));
    this.menu.addEventListener("toggle", (event) => {
      const isOpen = /** @type {ToggleEvent} */ (event).newState === "open";
      this.chosen?.classList.toggle("is-open", isOpen);
      if (!isOpen) this.returnFocus();
    });
    const deleted = recall("deleted", "session"); // the conversation that was shown: its page is gone
    remember("deleted", null, "session");
    if (deleted) this.offerUndo(deleted);
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"));
    const action = button?.dataset.action;
    if (button && action === "item-menu") this.openMenu(button);
    else if (action === "rename" && this.chosen) this.rename(this.chosen);
    else if (action === "pin" && this.chosen) this.pin(this.chosen).catch(showError);
    else if (/** @type {Element} */ (event.target).closest("[data-export], [data-print]")) this.menu.hidePopover();
    else if (action === "delete" && this.chosen) this.delete(this.chosen).catch(showError);
    else if (button && this.chosen && this.menu.contains(button)) this.file(this.chosen, action ?? "").catch(showError);
  }

  /** @param {HTMLElement} button */
  openMenu(button) {
    this.chosen = /** @type {HTMLElement} */ (button.closest("[data-id]"));
    const isBar = this.chosen.id === "bar";
    this.menu.toggleAttribute("data-pinned", this.chosen.hasAttribute("data-pinned"));
    const pin = /** @type {HTMLElement} */ (this.menu.querySelector("[data-action=pin]"));
    pin.hidden = isBar && document.body.hasAttribute("data-temporary");
    const { view } = this.options.order.window;
    const isArchived = isBar ? this.chosen.hasAttribute("data-archived") : view === "archived";
    const isUnread = !isBar && Boolean(this.chosen.querySelector(".mark-unread"));
    for (const choice of /** @type {NodeListOf<HTMLElement>} */ (this.menu.querySelectorAll(".filed"))) {
      const { action } = choice.dataset;
      const isWrong = (action === "archive" && isArchived) || (action === "unarchive" && !isArchived)
        || (action === "mark-read" && !isUnread) || (action === "mark-unread" && isUnread);
      choice.hidden = isWrong || pin.hidden;
    }
    for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (this.menu.querySelectorAll("[data-export]"))) {
      link.href = this.url(this.chosen, `export/?as=${link.dataset.export}`);
    }
    /** @type {HTMLAnchorElement} */ (this.menu.querySelector("[data-print]")).href = this.url(this.chosen, "print/");
    const from = button.getBoundingClientRect();
    button.closest("aside, main")?.append(this.menu); // a landmark that is not inert while its button can be reached
    this.menu.showPopover();
    const size = this.menu.getBoundingClientRect();
    const top = from.bottom + size.height + 8 > innerHeight ? Math.max(8, from.top - size.height - 4) : from.bottom + 4;
    const left = Math.max(8, Math.min(from.left, innerWidth - size.width - 8));
    Object.assign(this.menu.style, { left: `${left}px`, top: `${top}px` });
    choicesOf(this.menu)[0].focus();
  }

  /** The browser gives the focus back to the button that opened the menu, unless the list was read again meanwhile. */
  returnFocus() {
    const focused = document.activeElement; // what has just been hidden keeps the focus until the next frame
    const isLost = focused === document.body || this.menu.contains(focused);
    if (!this.chosen || this.chosen.isConnected || !isLost) return;
    const selector = `.item[data-id="${CSS.escape(this.chosen.dataset.id ?? "")}"] .item-menu`;
    /** @type {HTMLElement | null} */ (document.querySelector(selector))?.focus();
  }

  /** @param {HTMLElement} item @param {string} [action] */
  url(item, action = "") {
    return `${this.page.urls.root}c/${item.dataset.id}/${action}`;
  }

  /** On top of the list, or down again: every open tab hears of it by the socket. @param {HTMLElement} item */
  async pin(item) {
    this.menu.hidePopover();
    const pinned = !item.hasAttribute("data-pinned");
    item.toggleAttribute("data-pinned", pinned);
    try {
      await post(this.url(item, "pin/"), this.page.csrf, { pinned: pinned ? "1" : "0" });
    } catch (error) {
      item.toggleAttribute("data-pinned", !pinned);
      throw error;
    }
    this.options.say(pinned ? t("Pinned") : t("Unpinned"));
    this.options.onChange();
  }

  /** Files, tags, archives or marks a conversation. @param {HTMLElement} item @param {string} action */
  async file(item, action) {
    this.menu.hidePopover();
    const { order } = this.options;
    const ids = [item.dataset.id ?? ""];
    if (action === "move" || action === "tags") return void (await (await order.dialogs())[action](ids));
    const named = { "mark-unread": "unread", "mark-read": "read" }[action] ?? action;
    if (!["archive", "unarchive", "unread", "read"].includes(named) || !(await order.run(named, ids))) return undefined;
    if (named.endsWith("archive") && ids[0] === this.page.conversation_id) {
      document.getElementById("bar")?.toggleAttribute("data-archived", named === "archive");
    }
    return undefined;
  }

  /** @param {HTMLElement} item */
  rename(item) {
    this.menu.hidePopover();
    const link = /** @type {HTMLElement} */ (item.querySelector(".item-link, h1"));
    const id = item.dataset.id ?? "";
    const field = document.createElement("input");
    field.className = "item-rename";
    field.maxLength = 200;
    field.value = link.textContent?.trim() ?? "";
    field.setAttribute("aria-label", t("Title"));
    link.hidden = true;
    link.before(field);
    field.select();
    let done = false;
    const finish = async (/** @type {boolean} */ save) => {
      if (done) return;
      done = true;
      const title = field.value.trim();
      field.remove();
      link.hidden = false;
      /** @type {HTMLElement | null} */ (item.querySelector(".item-link, [data-action=item-menu]"))?.focus();
      if (!save || !title || title === link.textContent) return;
      const before = link.textContent ?? "";
      this.options.onTitle(id, title);
      try {
        this.options.onTitle(id, (await post(this.url(item, "rename/"), this.page.csrf, { title })).title);
      } catch (error) {
        this.options.onTitle(id, before);
        showError(error);
      }
    };
    field.addEventListener("keydown", (event) => {
      if (isComposing(event)) return;
      if (event.key === "Enter") finish(true);
      else if (event.key === "Escape") finish(false);
      event.stopPropagation();
    });
    field.addEventListener("blur", () => finish(true));
  }

  /** @param {HTMLElement} item */
  async delete(item) {
    this.menu.hidePopover();
    const id = item.dataset.id ?? "";
    await post(this.url(item, "delete/"), this.page.csrf);
    if (id === this.page.conversation_id) {
      remember("deleted", id, "session");
      location.assign(this.page.urls.root);
      return;
    }
    const next = /** @type {HTMLElement | null} */ ((item.nextElementSibling ?? item.previousElementSibling)?.querySelector("a") ?? null);
    item.remove();
    next?.focus();
    this.offerUndo(id);
  }

  /** @param {string} id */
  offerUndo(id) {
    const undo = async () => {
      await post(`${this.page.urls.root}c/${id}/restore/`, this.page.csrf);
      this.options.onChange();
    };
    showNote(t("Conversation deleted."), { label: t("Undo"), run: () => void undo().catch(showError) });
  }
}

/** Shows the message of a failed request. @param {unknown} error */
export function showError(error) {
  if (!(error instanceof FetchError)) throw error;
  showNote(error.message);
}
