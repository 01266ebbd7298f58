/** What one may do to an entry of the list: rename it, delete it, and take that back. */

import { FetchError, post } from "antiphon/fetch";
import { showNote } from "antiphon/status";
import { recall, remember } from "antiphon/storage";

export class Entries {
  /**
   * @param {any} page what the server put into the page
   * @param {(item: HTMLElement, title: string) => void} onTitle
   * @param {() => void} onRestored
   */
  constructor(page, onTitle, onRestored) {
    this.page = page;
    this.onTitle = onTitle;
    this.onRestored = onRestored;
    this.menu = /** @type {HTMLElement} */ (document.getElementById("item-menu"));
    /** @type {HTMLElement | null} */
    this.chosen = null;
    document.addEventListener("click", (event) => this.onClick(event));
    this.menu.addEventListener("keydown", (event) => this.onMenuKey(event));
    this.menu.addEventListener("toggle", (event) => {
      this.chosen?.classList.toggle("is-open", /** @type {ToggleEvent} */ (event).newState === "open");
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
    else if (action === "delete" && this.chosen) this.delete(this.chosen).catch(complain);
  }

  /** @param {HTMLElement} button */
  openMenu(button) {
    this.chosen = button.closest(".item");
    const from = button.getBoundingClientRect();
    this.menu.showPopover();
    const size = this.menu.getBoundingClientRect();
    const top = from.bottom + size.height + 8 > innerHeight ? from.top - size.height - 4 : from.bottom + 4;
    const left = Math.min(from.left, innerWidth - size.width - 8);
    Object.assign(this.menu.style, { left: `${left}px`, top: `${top}px` });
    this.menu.querySelector("button")?.focus();
  }

  /** @param {KeyboardEvent} event */
  onMenuKey(event) {
    const entries = [...this.menu.querySelectorAll("button")];
    const at = entries.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    if (event.key === "ArrowDown") entries[(at + 1) % entries.length].focus();
    else if (event.key === "ArrowUp") entries[(at + entries.length - 1) % entries.length].focus();
    else return;
    event.preventDefault();
  }

  /** @param {HTMLElement} item @param {string} [action] */
  url(item, action = "") {
    return `${this.page.urls.root}c/${item.dataset.id}/${action}`;
  }

  /** @param {HTMLElement} item */
  rename(item) {
    this.menu.hidePopover();
    const link = /** @type {HTMLAnchorElement} */ (item.querySelector(".item-link"));
    const field = document.createElement("input");
    field.className = "item-rename";
    field.maxLength = 200;
    field.value = link.textContent ?? "";
    field.setAttribute("aria-label", "Title");
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
      link.focus();
      if (!save || !title || title === link.textContent) return;
      const before = link.textContent ?? "";
      this.onTitle(item, title);
      try {
        this.onTitle(item, (await post(this.url(item, "rename/"), this.page.csrf, { title })).title);
      } catch (error) {
        this.onTitle(item, before);
        complain(error);
      }
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
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
      await post(`${this.page.urls.root}c/${id}/undelete/`, this.page.csrf);
      this.onRestored();
    };
    showNote("Conversation deleted.", { label: "Undo", run: () => void undo().catch(complain) });
  }
}

/** Says what went wrong, where that is known. @param {unknown} error */
export function complain(error) {
  if (!(error instanceof FetchError)) throw error;
  showNote(error.message);
}
