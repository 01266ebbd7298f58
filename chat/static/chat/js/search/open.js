/** Opens the search, the find bar and jumps. What they need is loaded when it is first wanted. */

import { Jumps } from "antiphon/conversation/jumps";
import { isComposing } from "antiphon/lib/keys";
import { lazily } from "antiphon/lib/sheets";
import { showFailure } from "antiphon/sidebar/failure";
import { showNote } from "antiphon/conversation/status";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/sidebar/sidebar").Sidebar} Sidebar */

export class Search {
  /** @param {Conversation} conversation @param {Sidebar} sidebar */
  constructor(conversation, sidebar) {
    this.conversation = conversation;
    this.sidebar = sidebar;
    this.jumps = new Jumps(conversation);
    this.sheet = lazily(() => import("antiphon/search/sheet"), ({ SearchSheet }) => new SearchSheet(this));
    /** @type {Promise<import("antiphon/search/find-bar").FindBar> | null} */
    this.bar = null;
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("search"));
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey || event.key.toLowerCase() !== "k") return;
      if (isComposing(event) || event.defaultPrevented) return;
      event.preventDefault();
      if (dialog.open) dialog.close();
      else if (!document.querySelector("dialog:modal")) void this.open();
    });
    document.addEventListener("click", (event) => this.onClick(event), true);
    this.dates = lazily(() => import("antiphon/search/jump-date"), ({ JumpDate }) => new JumpDate(this.jumps));
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"));
    const action = button?.dataset.action ?? "";
    if (action === "search") void this.open();
    else if (action === "item-menu") this.offer(button?.id === "chat-menu");
    else if (action.startsWith("go-")) {
      document.getElementById("item-menu")?.hidePopover();
      void this.run(action.slice(3));
    }
  }

  /** The menu of the conversation that is shown has more entries than those of the list. @param {boolean} isBar */
  offer(isBar) {
    for (const entry of document.querySelectorAll("#item-menu .when-bar")) /** @type {HTMLElement} */ (entry).hidden = !isBar;
  }

  async open() {
    if (this.sidebar.isDrawerOpen) this.sidebar.toggle(false, false);
    try {
      (await this.sheet()).open();
    } catch {
      showNote(t("The search could not be loaded. Try again in a moment."));
    }
  }

  async find() {
    try {
      this.bar ??= import("antiphon/search/find-bar").then(({ FindBar }) => new FindBar(this.conversation, this.jumps));
      (await this.bar).open();
    } catch {
      this.bar = null;
      showNote(t("The search could not be loaded. Try again in a moment."));
    }
  }

  /** @param {string} what */
  async run(what) {
    if (what === "find") await this.find();
    else if (what === "start") await this.jumps.toStart();
    else if (what === "end") await this.jumps.toEnd();
    else if (what === "date") await this.dates().then((dialog) => dialog.open()).catch(showFailure);
    else if (what === "sidebar") this.sidebar.toggle();
    else if (what === "log-out") /** @type {HTMLFormElement} */ (document.getElementById("logout")).requestSubmit();
  }
}
