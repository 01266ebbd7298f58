/** Archives, files, tags, marks and deletes conversations of the list, one or many; the views of the list; and undo. */

import { fetchJson, post } from "antiphon/lib/fetch";
import { choicesOf, moveInMenu } from "antiphon/lib/keys";
import { showNote } from "antiphon/conversation/status";
import { t, tn } from "antiphon/lib/texts";
import { lazily } from "antiphon/lib/sheets";
import { startDragging } from "antiphon/sidebar/drag";
import { showFailure } from "antiphon/sidebar/failure";

/** @typedef {import("antiphon/sidebar/list-window").ListWindow} ListWindow */
/** @typedef {{action: string, ids: string[], folder?: string, tag?: string}} Command */

const AT_ONCE = 500; // conversations of one command

export class Order {
  /** @param {any} page @param {ListWindow} window @param {(words: string) => void} say to a screen reader */
  constructor(page, window, say) {
    this.page = page;
    this.window = window;
    this.say = say;
    this.folder = ""; // whose menu is open
    /** Once it is loaded. @type {import("antiphon/sidebar/selection").Selection | null} */
    this.selection = null;
    this.dialogs = lazily(() => import("antiphon/sidebar/filing"), ({ Filing }) => new Filing(this));
    this.selecting = lazily(() => import("antiphon/sidebar/selection"), ({ Selection }) => (this.selection = new Selection(this)));
    this.menus = ["list-menu", "folder-menu", "tag-menu"].map((id) => /** @type {HTMLElement} */ (document.getElementById(id)));
    for (const menu of this.menus) menu.addEventListener("keydown", (event) => moveInMenu(event, menu));
    document.addEventListener("click", (event) => this.onClick(event));
    window.onDrawn.push(() => this.showView());
    startDragging(this);
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"));
    const action = button?.dataset.action ?? "";
    if (!button) return;
    if (action === "open-view") {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a folder's link in a new tab
      event.preventDefault();
      this.closeMenus();
      void this.open(button.dataset.view ?? "");
    } else if (action === "list-menu") this.openMenu(button, this.menus[0], () => this.loadTags());
    else if (action === "folder-menu") this.openFolderMenu(button, button.closest(".folder"));
    else if (action === "list-options") this.openOptions(button);
    else if (action === "select-mode") void this.selecting().then((selection) => selection.toggle()).catch(showFailure);
    else if (["jump", "new-folder", "delete-all"].includes(action) || /^(folder|tag)-/.test(action)) {
      this.closeMenus();
      void this.dialogs().then((filing) => filing.run(action)).catch(showFailure);
    }
  }

  closeMenus() {
    for (const menu of this.menus) menu.hidePopover();
  }

  /** @param {HTMLElement} button @param {HTMLElement} menu @param {() => void} [opened] */
  openMenu(button, menu, opened) {
    menu.showPopover();
    const from = button.getBoundingClientRect();
    const size = menu.getBoundingClientRect();
    const below = from.bottom + size.height + 8 <= innerHeight;
    const top = below ? from.bottom + 4 : Math.max(8, from.top - size.height - 4);
    Object.assign(menu.style, { left: `${Math.max(8, Math.min(from.left, innerWidth - size.width - 8))}px`, top: `${top}px` });
    choicesOf(menu)[0].focus();
    opened?.();
  }

  /** @param {HTMLElement} button @param {Element | null} entry */
  openFolderMenu(button, entry) {
    this.folder = /** @type {HTMLElement | null} */ (entry)?.dataset.folder ?? this.window.view.replace("folder:", "");
    const [, menu] = this.menus;
    /** @type {HTMLAnchorElement} */ (menu.querySelector("[data-folder-link]")).href = `${this.page.urls.root}?folder=${this.folder}`;
    for (const step of ["up", "down"]) /** @type {HTMLElement} */ (menu.querySelector(`[data-action=folder-${step}]`)).hidden = !entry;
    this.openMenu(button, menu);
  }

  /** @param {HTMLElement} button */
  openOptions(button) {
    if (this.window.view.startsWith("folder:")) this.openFolderMenu(button, null);
    else this.openMenu(button, this.menus[2]);
  }

  async loadTags() {
    const place = /** @type {HTMLElement} */ (document.getElementById("list-tags"));
    const { tags } = await this.read().catch(() => ({ tags: [] }));
    place.replaceChildren(...tags.map((/** @type {any} */ tag) => {
      const button = Object.assign(document.createElement("button"), { type: "button", role: "menuitem", textContent: `#${tag.name}` });
      Object.assign(button.dataset, { action: "open-view", view: `tag:${tag.id}` });
      button.dir = "auto";
      return button;
    }));
  }

  /** The folders and tags, and how these conversations are kept. @param {string[]} [ids] @returns {Promise<any>} */
  read(ids = []) {
    return fetchJson(`${this.page.urls.order}${ids.length ? `?ids=${ids.join(",")}` : ""}`);
  }

  /** Shows a view of the list. @param {string} view @param {Record<string, string>} [place] */
  async open(view, place) {
    try {
      await this.window.open(view, place);
    } catch (error) {
      showFailure(error);
      if (view) await this.window.open("").catch(() => {});
    }
    this.say(this.window.state?.dataset.name ?? "");
    if (document.activeElement === document.body) /** @type {HTMLElement | null} */ (document.querySelector(".list-name"))?.focus();
  }

  /** The name of the view above it, and what can be done with it. */
  showView() {
    const { view } = this.window;
    const of = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
    of("list-name").textContent = this.window.state?.dataset.name ?? "";
    of("list-back").hidden = !view;
    of("list-options").hidden = !/^(folder|tag):/.test(view);
  }

  /**
   * Does something with conversations, and offers to take it back. True if it was done.
   * @param {string} action @param {string[]} ids @param {Record<string, string>} [fields] @param {string} [name] of the tag or folder; empty: back to the list
   */
  async run(action, ids, fields = {}, name = "") {
    /** @type {Command[]} */
    const undo = [];
    let done = 0;
    let kept = 0;
    try {
      for (let at = 0; at < ids.length; at += AT_ONCE) {
        const result = await this.post({ action, ids: ids.slice(at, at + AT_ONCE), ...fields });
        done += result.done;
        kept += result.kept ?? 0;
        undo.push(...result.undo);
      }
    } catch (error) {
      showFailure(error);
    }
    if (!done) return false;
    const others = kept ? ` ${tn("One belongs to somebody else and stays.", "{count} belong to others and stay.", kept)}` : "";
    const said = `${DONE[action]?.(done, name) ?? ""}${others}`;
    showNote(said, undo.length ? { label: t("Undo"), run: () => void this.undo(undo) } : undefined);
    this.say(said);
    this.window.refresh(0);
    return true;
  }

  /** @param {Command[]} commands */
  async undo(commands) {
    try {
      for (const command of commands) await this.post(command);
      this.say(t("Undone"));
    } catch (error) {
      showFailure(error);
    }
    this.window.refresh(0);
  }

  /** @param {Command} command @returns {Promise<any>} */
  post({ ids, ...fields }) {
    return post(this.page.urls.organise, this.page.csrf, { ...fields, ids: ids.join(",") });
  }
}

/** What was done, by the action. @type {Record<string, (n: number, name: string) => string>} */
const DONE = {
  archive: (n) => tn("Conversation archived.", "{count} conversations archived.", n),
  unarchive: (n) => tn("Conversation unarchived.", "{count} conversations unarchived.", n),
  move: (n, name) =>
    name
      ? tn("Conversation moved to “{name}”.", "{count} conversations moved to “{name}”.", n, { name })
      : tn("Conversation moved back to the list.", "{count} conversations moved back to the list.", n),
  tag: (n) => tn("Conversation tagged.", "{count} conversations tagged.", n),
  untag: (n) => tn("Tag removed from the conversation.", "Tag removed from {count} conversations.", n),
  read: (n) => tn("Conversation marked as read.", "{count} conversations marked as read.", n),
  unread: (n) => tn("Conversation marked as unread.", "{count} conversations marked as unread.", n),
  delete: (n) => tn("Conversation deleted.", "{count} conversations deleted.", n),
};
