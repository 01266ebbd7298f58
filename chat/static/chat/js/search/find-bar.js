/** Finds words in the conversation that is shown, on all its branches, also in messages that are not loaded. */

import { isComposing } from "antiphon/lib/keys";
import { FetchError, fetchJson } from "antiphon/lib/fetch";
import { showNote } from "antiphon/conversation/status";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */

const TYPING_MS = 200;

export class FindBar {
  /** @param {Conversation} conversation @param {import("antiphon/conversation/jumps").Jumps} jumps */
  constructor(conversation, jumps) {
    this.conversation = conversation;
    this.jumps = jumps;
    this.element = /** @type {HTMLElement} */ (document.getElementById("find"));
    this.field = /** @type {HTMLInputElement} */ (this.element.querySelector("input"));
    this.count = /** @type {HTMLElement} */ (this.element.querySelector(".find-count"));
    /** @type {string[]} */
    this.found = [];
    this.at = -1;
    this.timer = 0;
    this.asking = new AbortController();
    this.field.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look(), TYPING_MS);
    });
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-find]"));
      if (button?.dataset.find === "close") this.close();
      else if (button) void this.step(button.dataset.find === "next" ? 1 : -1, button);
    });
  }

  open() {
    this.element.hidden = false;
    this.field.select();
    this.field.focus();
    if (this.field.value.trim()) void this.look();
  }

  close() {
    clearTimeout(this.timer);
    this.asking.abort();
    this.element.hidden = true;
    const marked = /** @type {HTMLElement | null} */ (document.querySelector(".message.is-found"));
    this.jumps.mark(null);
    (marked ?? this.conversation.composer.field).focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (isComposing(event)) return;
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && event.target === this.field) void this.step(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Escape would stop the answer
  }

  async look() {
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const query = this.field.value.trim();
    const { page } = this.conversation;
    /** @type {string[]} */
    let found = [];
    if (query) {
      try {
        found = (await fetchJson(`${page.urls.root}c/${page.conversation_id}/find/?${new URLSearchParams({ q: query })}`, signal)).messages;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FetchError)) throw error;
        this.show(error.message);
        return;
      }
    }
    if (signal.aborted) return;
    this.found = found;
    this.looked = query;
    this.at = found.length ? this.nearest() : -1;
    this.show();
    if (this.at >= 0) await this.go();
  }

  /** The first hit that is in view or below; else the newest. */
  nearest() {
    const top = this.conversation.scroll.scroller.getBoundingClientRect().top;
    const shown = this.conversation.transcript.path.filter((view) => view.element.getBoundingClientRect().bottom > top);
    const at = this.found.findIndex((id) => shown.some((view) => view.id === id));
    return at >= 0 ? at : this.found.length - 1;
  }

  /** @param {number} by @param {HTMLElement} [button] */
  async step(by, button) {
    if (this.field.value.trim() !== this.looked) {
      clearTimeout(this.timer);
      await this.look();
      return;
    }
    if (!this.found.length) return;
    this.at = (this.at + by + this.found.length) % this.found.length;
    this.show();
    await this.go();
    button?.focus();
  }

  async go() {
    try {
      await this.jumps.toMessage(this.found[this.at], this.looked);
    } catch (error) {
      if (!(error instanceof FetchError)) throw error;
      showNote(error.message);
    }
    if (!this.element.hidden) this.field.focus({ preventScroll: true });
  }

  /** @param {string} [trouble] */
  show(trouble = "") {
    const { length } = this.found;
    const none = this.field.value.trim() ? (this.count.dataset.none ?? "") : "";
    this.count.textContent = trouble || (length ? t("{place} of {count}", { place: this.at + 1, count: length === 500 ? "500+" : length }) : none);
    for (const button of this.element.querySelectorAll("[data-find=previous], [data-find=next]")) {
      /** @type {HTMLButtonElement} */ (button).disabled = !length;
    }
  }
}
