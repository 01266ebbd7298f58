/** The people of a conversation: who is here, who joins and leaves, and the sheets of members and of share links. */

import { isolate } from "antiphon/lib/names";
import { showNote } from "antiphon/conversation/status";
import { Presence } from "antiphon/conversation/presence";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/people-sheet").Member} Member */

function sayNotLoaded() {
  showNote(t("This could not be loaded. Try again in a moment."));
}

export class People {
  /**
   * @param {any} page what the server put into the page
   * @param {(words: string) => void} say to a screen reader
   * @param {(frame: any) => void} send over the socket
   */
  constructor(page, say, send) {
    this.page = page;
    this.say = say;
    this.presence = new Presence(page, send);
    this.sharing = /** @type {HTMLElement} */ (document.getElementById("shares-button"));
    /** Both sheets are loaded with the first press. @type {Promise<import("antiphon/conversation/shares").Shares> | null} */
    this.shares = null;
    this.sharing.addEventListener("click", () => void this.share().catch(sayNotLoaded));
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("people-button"));
    /** @type {Promise<import("antiphon/conversation/people-sheet").PeopleSheet> | null} */
    this.sheet = null;
    this.button.addEventListener("click", () => void this.open().catch(sayNotLoaded));
  }

  async open() {
    this.sheet ??= import("antiphon/conversation/people-sheet").then(({ PeopleSheet }) => new PeopleSheet(this.page, this.say));
    await this.sheet.then((sheet) => sheet.open(), (error) => {
      this.sheet = null; // the next press tries again
      throw error;
    });
  }

  async share() {
    this.shares ??= import("antiphon/conversation/shares").then(({ Shares }) => new Shares(this.page, this.say));
    await this.shares.then((shares) => shares.open(), (error) => {
      this.shares = null;
      throw error;
    });
  }

  /** What an event of the log says of the people. @param {import("antiphon/wire/protocol").Frame} event */
  apply(event) {
    if (event.type === "message.created") this.presence.forget(event.message.author?.id);
    if (event.type === "members.changed") this.changed(event.members);
  }

  /** Somebody changed the members. @param {Member[]} members */
  changed(members) {
    const before = new Set((this.page.members ?? []).map((/** @type {Member} */ one) => one.id));
    const after = new Set(members.map((one) => one.id));
    for (const one of members) if (before.size && !before.has(one.id) && one.id !== this.page.user.id) showNote(t("{name} joined.", { name: isolate(one.name) }));
    for (const one of this.page.members ?? []) if (!after.has(one.id) && one.id !== this.page.user.id) showNote(t("{name} left.", { name: isolate(one.name) }));
    this.page.members = members.length > 1 ? members : [];
    const reads = members.find((one) => one.id === this.page.user.id)?.role === "viewer";
    /** @type {HTMLElement} */ (document.getElementById("composer")).hidden = reads;
    /** @type {HTMLElement} */ (document.getElementById("read-only")).hidden = !reads;
    this.sheet?.then((sheet) => sheet.isOpen && sheet.load(), () => {});
  }
}
