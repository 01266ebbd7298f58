/**
 * Goes to any place of a conversation, also one that is not loaded: a part of the path around it takes the place of what
 * is shown, and scrolling loads on in both directions. While the end is not loaded, the page is `partial`.
 */

import { FetchError, fetchPiece } from "antiphon/lib/fetch";
import { highlight } from "antiphon/lib/highlight";
import { showNote } from "antiphon/conversation/status";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */

const NEAR_PX = 600; // from where on scrolling loads more

export class Jumps {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.loading = false;
    const { scroll, transcript } = conversation;
    this.top = 0;
    const { composer } = conversation;
    const { onSend } = composer.options;
    composer.options.onSend = (text, how) => (transcript.isPartial ? void this.sendAtEnd(text, () => onSend(text, how)) : onSend(text, how));
    scroll.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    scroll.button.addEventListener("click", (event) => {
      if (!transcript.isPartial) return;
      event.stopImmediatePropagation();
      void this.toEnd();
    }, true);
    transcript.root.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action=later]"));
      if (button) void this.tell(this.later(button));
    });
    const asked = new URLSearchParams(location.search);
    const wanted = asked.get("message");
    if (wanted && conversation.page.conversation_id) {
      history.replaceState(history.state, "", location.pathname);
      void this.tell(this.toMessage(wanted, asked.get("q") ?? ""));
    }
  }

  /** A message follows the end of the path, so that is shown first. @param {string} text @param {() => void} send */
  async sendAtEnd(text, send) {
    if (await this.toEnd()) send();
    else this.conversation.composer.write(text);
  }

  /** Shows what goes wrong. @param {Promise<any>} going @returns {Promise<boolean>} whether it went well */
  async tell(going) {
    try {
      await going;
      return true;
    } catch (error) {
      if (!(error instanceof FetchError)) throw error;
      showNote(error.message);
      return false;
    }
  }

  /** @param {Record<string, string>} place as the server's `show_part` says */
  part(place) {
    const { page } = this.conversation;
    return fetchPiece(`${page.urls.root}c/${page.conversation_id}/part/?${new URLSearchParams(place)}`);
  }

  /** Shows another part of the path; returns the message that was looked for. @param {Record<string, string>} place */
  async load(place) {
    const { transcript, scroll } = this.conversation;
    const piece = await this.part(place);
    const mark = /** @type {HTMLElement} */ (piece.querySelector(".piece"));
    scroll.pinned = false;
    this.conversation.onVisit();
    transcript.turn(piece);
    this.rewind(mark);
    return transcript.find(mark.dataset.target ?? "");
  }

  /** The part was read a moment ago: what happened since is told again from there. @param {HTMLElement} mark */
  rewind(mark) {
    this.conversation.subscription?.rewind({ epoch: mark.dataset.epoch ?? "", seq: Number(mark.dataset.seq) });
  }

  /** @param {string} id @param {string} [words] that are marked in it */
  async toMessage(id, words = "") {
    const { transcript } = this.conversation;
    const view = transcript.find(id) ?? (await this.load({ message: id }));
    if (view) this.show(view, words);
  }

  /** @returns {Promise<boolean>} */
  toStart() {
    return this.tell((async () => {
      const { transcript } = this.conversation;
      const isHere = !transcript.root.querySelector(".earlier");
      const view = isHere ? transcript.path[0] : await this.load({ at: "start", ...this.leaf() });
      if (view) this.show(view);
    })());
  }

  /** @param {string} day like 2026-11-28 @returns {Promise<boolean>} */
  toDate(day) {
    return this.tell((async () => {
      const view = await this.load({ date: day, ...this.leaf() });
      if (view) this.show(view);
    })());
  }

  /** @returns {Promise<boolean>} */
  toEnd() {
    return this.tell((async () => {
      const { transcript, scroll } = this.conversation;
      if (transcript.isPartial) await this.load({ at: "end", ...this.leaf() });
      this.mark(null);
      scroll.toEnd();
    })());
  }

  /** The end of the path that is shown. */
  leaf() {
    const { transcript } = this.conversation;
    const button = /** @type {HTMLElement | null} */ (transcript.root.querySelector("[data-action=later]"));
    const leaf = button?.dataset.leaf ?? transcript.path.findLast((view) => view.id && !view.clientId)?.id;
    return leaf ? { leaf } : {};
  }

  /** Scrolls to a message and marks it, until the next jump. @param {MessageView} view @param {string} [words] */
  show(view, words = "") {
    const { scroll } = this.conversation;
    scroll.pinned = false;
    this.mark(view.element);
    const first = highlight(view.element, words);
    view.element.scrollIntoView({ block: "start" });
    const box = first?.getBoundingClientRect();
    const seen = scroll.scroller.getBoundingClientRect();
    if (box && box.top > seen.bottom - 80) scroll.scroller.scrollTop += box.top - seen.top - seen.height / 3;
    view.element.focus({ preventScroll: true });
    scroll.note();
    scroll.offer();
  }

  /** @param {Element | null} element */
  mark(element) {
    for (const other of document.querySelectorAll(".message.is-found")) other.classList.remove("is-found");
    element?.classList.add("is-found");
    if (!element) highlight(null, "");
  }

  scrolled() {
    const { scroll, transcript } = this.conversation;
    if (this.loading) return;
    const { scrollTop } = scroll.scroller;
    const up = /** @type {HTMLElement | null} */ (transcript.root.querySelector("[data-action=earlier]"));
    const down = /** @type {HTMLElement | null} */ (transcript.root.querySelector("[data-action=later]"));
    if (up && !scroll.pinned && scrollTop < NEAR_PX && scrollTop < this.top) up.click();
    else if (down && scroll.distance < NEAR_PX) void this.tell(this.later(down));
    this.top = scrollTop;
  }

  /** @param {DocumentFragment} piece what follows the last message */
  append(piece) {
    const { transcript } = this.conversation;
    transcript.root.querySelector(".later")?.remove();
    const { tip } = transcript;
    const views = transcript.adopt(piece);
    transcript.tip = tip;
    piece.querySelector(".piece")?.remove();
    transcript.path.push(...views);
    transcript.beside = transcript.adopted ?? null;
    transcript.root.append(piece);
    transcript.changed();
  }

  /** @param {HTMLElement} button */
  async later(button) {
    if (this.loading) return;
    this.loading = true;
    button.ariaBusy = "true";
    const { transcript, scroll } = this.conversation;
    try {
      const piece = await this.part({ after: button.dataset.after ?? "", leaf: button.dataset.leaf ?? "" });
      if (!button.isConnected) return; // a jump went elsewhere meanwhile
      const mark = /** @type {HTMLElement} */ (piece.querySelector(".piece"));
      const anchor = transcript.last?.element;
      if (anchor) scroll.hold(anchor, () => this.append(piece));
      scroll.pinned = false;
      this.rewind(mark);
    } finally {
      this.loading = false;
      button.ariaBusy = null;
    }
  }
}
