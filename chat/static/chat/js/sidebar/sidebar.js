/** The list of conversations: opens and closes, and stays in step with other tabs. */

import { ConversationActions, showError } from "antiphon/sidebar/conversation-actions";
import { fetchPiece } from "antiphon/lib/fetch";
import { recall, remember } from "antiphon/lib/storage";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const REFRESH_MS = 300;
const AGAIN_MS = 3_000; // after the list could not be read, or while an entry is being renamed
const MOST_FAILURES = 5; // one after another; then the next notice or connection asks again

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
    this.list = /** @type {HTMLElement} */ (document.getElementById("conversations"));
    this.backdrop = /** @type {HTMLElement} */ (document.getElementById("backdrop"));
    this.account = /** @type {HTMLElement} */ (document.getElementById("account-menu"));
    this.drawer = matchMedia("(width < 56rem)");
    this.timer = 0;
    this.heard = 0; // notices about the list
    this.failures = 0;
    this.onDrawn = /** @type {(() => void) | null} */ (null); // the list was read again, or more of it
    this.actions = new ConversationActions(page, {
      onTitle: (id, title) => this.setTitle(id, title), onChange: () => this.refresh(), say: options.say,
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
    else if (action === "more-conversations") this.more(button).catch(showError);
  }

  /** @param {string} id @returns {HTMLElement | null} its entry, where it is listed */
  find(id) {
    return this.list.querySelector(`.item[data-id="${CSS.escape(id)}"]`);
  }

  /** @param {string} id @param {string} title */
  setTitle(id, title) {
    const item = this.find(id);
    const link = /** @type {HTMLAnchorElement | null} */ (item?.querySelector(".item-link"));
    if (link) link.textContent = link.title = title || "Conversation";
    item?.querySelector(".item-menu")?.setAttribute("aria-label", `Options for “${title}”`);
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
    if (isShown && notice.title) this.onTitle(notice.title);
    if (isShown && "pinned" in notice) document.getElementById("bar")?.toggleAttribute("data-pinned", notice.pinned);
    if (notice.temporary) return; // in no list
    const pinned = item?.hasAttribute("data-pinned");
    const stays = item && (notice.pinned ?? pinned) === pinned && (pinned || item === this.list.querySelector(".item:not([data-pinned])"));
    if (stays) this.setTitle(id, notice.title);
    else this.refresh();
  }

  /** Reads the list again, as much of it as is shown. */
  refresh(after = REFRESH_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.read(""), after);
  }

  /** The socket is open: what came between the making of the page's list and now was told to nobody. */
  catchUp() {
    this.read(this.heard ? "" : (this.state?.dataset.version ?? ""));
  }

  get state() {
    return document.getElementById("list-state");
  }

  /** @param {string} version of the list that is shown: if it is still the newest, nothing comes */
  async read(version) {
    const { heard } = this;
    const count = Math.max(40, this.list.querySelectorAll(".item:not([data-pinned])").length);
    const piece = await fetchPiece(`${this.page.urls.conversations}?count=${count}&unless=${version}`).catch(() => null);
    if (!piece && this.failures++ < MOST_FAILURES) return this.refresh(AGAIN_MS);
    if (!piece) return undefined;
    this.failures = 0;
    if (this.list.querySelector(".item-rename")) return this.refresh(AGAIN_MS);
    if (piece.childElementCount) this.draw(piece);
    // A notice that came meanwhile may be newer than what was read.
    return this.heard === heard ? undefined : this.refresh();
  }

  /** @param {DocumentFragment} piece */
  draw(piece) {
    const focused = document.activeElement;
    const id = /** @type {HTMLElement | null} */ (focused?.closest(".item"))?.dataset.id;
    const kind = focused?.classList.contains("item-menu") ? ".item-menu" : ".item-link";
    this.list.replaceChildren(piece);
    this.markCurrent();
    this.onDrawn?.();
    if (id) /** @type {HTMLElement | null | undefined} */ (this.find(id)?.querySelector(kind))?.focus();
  }

  markCurrent() {
    for (const item of this.list.querySelectorAll(".item")) {
      const current = /** @type {HTMLElement} */ (item).dataset.id === this.page.conversation_id;
      const link = item.querySelector(".item-link");
      if (current) link?.setAttribute("aria-current", "page");
      else link?.removeAttribute("aria-current");
    }
  }

  /** @param {HTMLElement} button */
  async more(button) {
    const piece = await fetchPiece(`${this.page.urls.conversations}?after=${encodeURIComponent(button.dataset.next ?? "")}`);
    const first = /** @type {HTMLElement | null} */ (piece.querySelector("a"));
    const heading = [...this.list.querySelectorAll("h2")].at(-1);
    if (heading && heading.textContent === piece.querySelector("h2")?.textContent) {
      heading.parentElement?.querySelector("ul")?.append(...piece.querySelectorAll(".group:first-of-type .item"));
      piece.querySelector(".group")?.remove();
    }
    button.replaceWith(piece);
    this.onDrawn?.();
    first?.focus();
  }
}

function opener() {
  return /** @type {HTMLElement | null} */ (document.querySelector("[data-action=open-sidebar]"));
}
