/** The list of conversations: opens and closes, and stays in step with other tabs. */

import { t } from "antiphon/lib/texts";
import { ConversationActions, showError } from "antiphon/sidebar/conversation-actions";
import { ListWindow } from "antiphon/sidebar/list-window";
import { Order } from "antiphon/sidebar/organising";
import { recall, remember } from "antiphon/lib/storage";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

export class Sidebar {
  /**
   * @param {any} page what the server put into the page
   * @param {object} options
   * @param {(title: string) => void} options.onTitle of the conversation shown
   * @param {(words: string) => void} options.say to a screen reader
   */
  constructor(page, options) {
    this.page = page;
    this.onTitle = options.onTitle;
    this.element = /** @type {HTMLElement} */ (document.getElementById("sidebar"));
    this.window = new ListWindow(page);
    this.list = this.window.list;
    this.backdrop = /** @type {HTMLElement} */ (document.getElementById("backdrop"));
    this.account = /** @type {HTMLElement} */ (document.getElementById("account-menu"));
    this.drawer = matchMedia("(width < 56rem)");
    this.order = new Order(page, this.window, options.say);
    this.actions = new ConversationActions(page, {
      onTitle: (id, title) => this.setTitle(id, title), onChange: () => this.refresh(), say: options.say, order: this.order,
    });
    document.addEventListener("click", (event) => this.onClick(event));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.isDrawerOpen && this.toggle(false));
    this.backdrop.addEventListener("click", () => this.toggle(false));
    this.drawer.addEventListener("change", () => this.drawerState(false));
    this.account.addEventListener("beforetoggle", () => {
      const from = /** @type {HTMLElement} */ (document.querySelector(".account")).getBoundingClientRect();
      Object.assign(this.account.style, { left: `${from.left}px`, bottom: `${innerHeight - from.top + 6}px`, width: `${from.width}px` });
    });
    this.drawerState(false);
  }

  get isDrawerOpen() {
    return this.element.classList.contains("is-open");
  }

  /** @param {boolean} [open] */
  toggle(open, focus = true) {
    if (this.drawer.matches) {
      const wanted = open ?? !this.isDrawerOpen;
      this.drawerState(wanted);
      if (focus) /** @type {HTMLElement | null} */ (wanted ? this.element.querySelector("a, button") : opener())?.focus();
    } else {
      const wanted = open ?? document.documentElement.dataset.sidebar === "closed";
      if (wanted) delete document.documentElement.dataset.sidebar;
      else document.documentElement.dataset.sidebar = "closed";
      remember("sidebar", wanted ? null : "closed");
      this.drawerState(false);
      if (focus) /** @type {HTMLElement | null} */ (wanted ? this.element.querySelector("[data-action=close-sidebar]") : opener())?.focus();
    }
  }

  /** @param {boolean} open */
  drawerState(open) {
    this.element.classList.toggle("is-open", open);
    this.backdrop.hidden = !open;
    /** @type {HTMLElement} */ (document.getElementById("main")).inert = open;
    opener()?.setAttribute("aria-expanded", String(open));
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"));
    const action = button?.dataset.action;
    if (!button) return;
    if (action === "open-sidebar") this.toggle(true);
    else if (action === "close-sidebar") this.toggle(false);
    else if (action === "more-conversations" || action === "newer-conversations") this.window.more(button, true).catch(showError);
  }

  get heard() {
    return this.window.heard;
  }

  set heard(count) {
    this.window.heard = count;
  }

  /** @param {() => void} tell */
  set onDrawn(tell) {
    this.window.onDrawn.push(tell);
  }

  /** @param {string} id */
  find(id) {
    return this.window.find(id);
  }

  /** @param {number} [after] milliseconds */
  refresh(after) {
    this.window.refresh(after);
  }

  catchUp() {
    this.window.catchUp();
  }

  /** @param {string} id @param {string} title */
  setTitle(id, title) {
    const item = this.find(id);
    const link = /** @type {HTMLAnchorElement | null} */ (item?.querySelector(".item-link"));
    if (link) link.textContent = link.title = title || t("Conversation");
    item?.querySelector(".item-menu")?.setAttribute("aria-label", t("Options for “{title}”", { title: title || t("Conversation") }));
    if (id === this.page.conversation_id) this.onTitle(title);
  }

  /** Another tab, or this one, changed the list. @param {Frame} notice */
  listed(notice) {
    this.heard++;
    const id = notice.conversation_id;
    const item = this.find(id);
    const isShown = id === this.page.conversation_id;
    if (notice.deleted) {
      item?.remove();
      if (isShown && !notice.removed && !recall("deleted", "session")) location.assign(this.page.urls.root);
      return;
    }
    if (isShown && typeof notice.title === "string") this.onTitle(notice.title);
    if (isShown && "pinned" in notice) document.getElementById("bar")?.toggleAttribute("data-pinned", notice.pinned);
    if (notice.temporary) return; // in no list
    const pinned = item?.hasAttribute("data-pinned");
    const isTop = !this.window.state?.dataset.start && item === this.window.loose[0];
    const stays = item && (notice.pinned ?? pinned) === pinned && (pinned || isTop) && this.window.view !== "archived";
    if (stays) this.setTitle(id, notice.title);
    else this.refresh();
  }
}

function opener() {
  return /** @type {HTMLElement | null} */ (document.querySelector("[data-action=open-sidebar]"));
}
