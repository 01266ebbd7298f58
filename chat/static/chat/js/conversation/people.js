/** The people of a conversation: who is here, who joins and leaves, and the sheets of members and of share links. */

import { isolate } from "antiphon/lib/names";
import { showNote } from "antiphon/conversation/status";
import { Presence } from "antiphon/conversation/presence";
import { lazily } from "antiphon/lib/sheets";
import { showFailure } from "antiphon/sidebar/failure";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/people-sheet").Member} Member */

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
    this.shares = lazily(() => import("antiphon/conversation/shares"), ({ Shares }) => new Shares(page, say));
    this.sharing.addEventListener("click", () => void this.shares().then((sheet) => sheet.open()).catch(showFailure));
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("people-button"));
    /** Once it is loaded. @type {import("antiphon/conversation/people-sheet").PeopleSheet | null} */
    this.sheet = null;
    this.load = lazily(() => import("antiphon/conversation/people-sheet"), ({ PeopleSheet }) => (this.sheet = new PeopleSheet(page, say)));
    this.button.addEventListener("click", () => void this.load().then((sheet) => sheet.open()).catch(showFailure));
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
    if (this.sheet?.isOpen) void this.sheet.load();
  }
}
