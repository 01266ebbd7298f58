/**
 * The switch beside the message field that lets models search the web in this conversation, from the next answer on. For
 * a conversation that has not begun it is kept in this tab, and goes with the first message.
 */

import { post } from "antiphon/lib/fetch";
import { recall, remember } from "antiphon/lib/storage";

export class WebSearch {
  /** @param {any} page what the server put into the page @param {(words: string) => void} say */
  constructor(page, say) {
    this.page = page;
    this.say = say;
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("web-search"));
    this.offered = Boolean(page.web_search?.offered);
    this.key = `draft.web-search.${page.user.id}`;
    this.on = page.conversation_id ? Boolean(page.web_search?.on) : this.offered && recall(this.key, "session") === "1";
    this.button.addEventListener("click", () => this.toggle());
    this.show();
  }

  async toggle() {
    const on = !this.on;
    this.on = on;
    this.show();
    this.say(on ? "The model may search the web." : "The model does not search the web.");
    if (!this.page.conversation_id) return remember(this.key, on ? "1" : null, "session");
    try {
      await post(`${this.page.urls.root}c/${this.page.conversation_id}/web-search/`, this.page.csrf, { on: on ? "1" : "0" });
    } catch (error) {
      this.on = !on;
      this.show();
      this.say(`Not saved. ${/** @type {Error} */ (error).message}`);
    }
    return undefined;
  }

  /**
   * The options of the first message, with this one where it is on.
   * @param {Record<string, any> | undefined} options @returns {Record<string, any> | undefined}
   */
  join(options) {
    return this.on ? { ...options, web_search: true } : options;
  }

  /** The conversation has begun, with what its first message brought. */
  begun() {
    remember(this.key, null, "session");
  }

  /** Somebody has switched it. @param {import("antiphon/wire/protocol").Frame} event */
  apply(event) {
    if (event.type !== "conversation.updated" || typeof event.web_search !== "boolean") return;
    this.on = event.web_search;
    this.show();
  }

  show() {
    this.button.hidden = !this.offered && !this.on;
    this.button.setAttribute("aria-pressed", String(this.on));
    this.button.disabled = this.page.role === "viewer";
  }
}
