/** Somebody mentions the reader: a note, and a mark at the conversation in the list until it is opened. */

import { post } from "antiphon/lib/fetch";
import { showNote } from "antiphon/conversation/status";
import { t, tc } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

export class MentionMarks {
  /**
   * @param {any} page what the server put into the page
   * @param {(words: string) => void} say to a screen reader
   * @param {() => void} heard the list is told of a notice, which may be newer than what it is reading
   */
  constructor(page, say, heard) {
    this.page = page;
    this.heard = heard;
    this.say = say;
    /** The conversations with mentions that were not seen. @type {Set<string>} */
    this.unseen = new Set();
    this.list = /** @type {HTMLElement} */ (document.getElementById("conversations"));
    this.state = /** @type {HTMLElement | null} */ (null);
    new MutationObserver(() => this.read()).observe(this.list, { childList: true, subtree: true });
    document.addEventListener("visibilitychange", () => this.look());
    this.read();
    this.look();
  }

  /** The list was read again: it has every mention that the reader has not seen. */
  read() {
    const state = document.getElementById("list-state");
    if (state && state !== this.state) {
      this.state = state;
      this.unseen = new Set((state.dataset.mentioned ?? "").split(" ").filter(Boolean));
      this.look();
    }
    this.show();
  }

  /** @param {Frame} frame `mention` */
  receive(frame) {
    const id = frame.conversation_id;
    this.heard();
    this.unseen.add(id);
    if (id === this.page.conversation_id && !document.hidden) return void this.look();
    const who = frame.by?.name ?? t("Somebody");
    const title = this.find(id)?.querySelector(".item-link")?.textContent;
    const words = title ? t("{who} mentioned you in “{title}”.", { who, title }) : t("{who} mentioned you.", { who });
    showNote(words, { label: tc("a button", "Open"), run: () => location.assign(`${this.page.urls.root}c/${id}/#m-${frame.message_id}`) });
    this.say(words);
    this.show();
    return undefined;
  }

  /** What is in front of the reader is seen. */
  look() {
    const id = this.page.conversation_id;
    if (document.hidden || !id || !this.unseen.delete(id)) return;
    this.show();
    post(`${this.page.urls.root}c/${id}/mentions/seen/`, this.page.csrf, {}).catch(() => this.unseen.add(id)); // next time
  }

  /** @param {string} id */
  find(id) {
    return this.list.querySelector(`.item[data-id="${CSS.escape(id)}"]`);
  }

  show() {
    for (const item of /** @type {NodeListOf<HTMLElement>} */ (this.list.querySelectorAll(".item"))) {
      const wanted = this.unseen.has(item.dataset.id ?? "");
      const mark = item.querySelector(".mention-mark");
      if (!wanted) mark?.remove();
      else if (!mark) item.querySelector(".item-menu")?.before(made());
    }
  }
}

function made() {
  const mark = document.createElement("span");
  mark.className = "mention-mark";
  mark.role = "img";
  mark.ariaLabel = t("You were mentioned");
  mark.title = t("You were mentioned");
  mark.textContent = "@";
  return mark;
}
