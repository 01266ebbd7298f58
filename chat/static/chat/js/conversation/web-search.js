/**
 * The switch beside the message field that lets models search the web in this conversation, from the next answer on. For
 * a conversation that has not begun it is kept in this tab, and goes with the first message.
 */

import { post } from "antiphon/lib/fetch";
import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";
import { showNote } from "antiphon/conversation/status";

export class WebSearch {
  /** @param {import("antiphon/conversation/conversation").Conversation} conversation */
  constructor(conversation) {
    const { page, parameters } = conversation;
    this.page = page;
    this.say = (/** @type {string} */ words) => conversation.announcer.say(words);
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("web-search"));
    this.offered = Boolean(page.web_search?.offered);
    this.title = this.button.title;
    this.key = `draft.web-search.${page.user.id}`;
    this.on = page.conversation_id ? Boolean(page.web_search?.on) : this.offered && recall(this.key, "session") === "1";
    this.switched = false; // on, by whoever reads this page
    this.noted = "";
    this.button.addEventListener("click", () => this.toggle());
    const { picker } = conversation;
    this.picker = picker;
    const before = picker.onPreset;
    picker.onPreset = (preset) => {
      before?.(preset);
      this.show();
    };
    const { more } = parameters;
    parameters.more = () => ({ ...more?.(), ...(this.on ? { web_search: true } : {}) });
    conversation.listeners.push((frame) => this.receive(frame));
    this.show();
  }

  async toggle() {
    const on = !this.on;
    this.on = on;
    this.switched = on;
    this.show();
    if (!on || !this.lacking) this.say(on ? t("The model may search the web.") : t("The model does not search the web."));
    if (!this.page.conversation_id) return remember(this.key, on ? "1" : null, "session");
    try {
      await post(`${this.page.urls.root}c/${this.page.conversation_id}/web-search/`, this.page.csrf, { on: on ? "1" : "0" });
    } catch (error) {
      this.on = !on;
      this.show();
      showNote(t("Not saved. {reason}", { reason: /** @type {Error} */ (error).message }));
    }
    return undefined;
  }

  /** Why the model that is asked cannot search, though it may; empty: it can, or nobody knows. */
  get lacking() {
    const model = this.picker.asked;
    return model?.tools === false ? t("{model} does not call tools, so it cannot search the web. Choose another model.", { model: model.label }) : "";
  }

  /** @param {import("antiphon/wire/protocol").Frame} frame */
  receive(frame) {
    if (frame.type === "message.accepted" && !this.page.conversation_id) remember(this.key, null, "session"); // it went with it
    else if (frame.type === "conversation.updated" && frame.conversation_id === this.page.conversation_id && typeof frame.web_search === "boolean") {
      this.on = frame.web_search; // somebody has switched it
      this.show();
    }
  }

  show() {
    this.button.hidden = !this.offered && !this.on;
    this.button.setAttribute("aria-pressed", String(this.on));
    this.button.disabled = this.page.role === "viewer";
    this.button.toggleAttribute("data-lacking", this.on && Boolean(this.lacking));
    this.button.title = (this.on && this.lacking) || this.title;
    const note = this.switched && this.on ? this.lacking : "";
    if (note && note !== this.noted) showNote(note); // at once, or when the models are known
    this.noted = note;
  }
}
