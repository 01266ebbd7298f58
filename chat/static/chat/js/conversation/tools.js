/**
 * Which tools models may use in a conversation, without the sheet, which its first opening loads: whether they were
 * chosen, and what was chosen before the first message, which brings it.
 */

import { lazily } from "antiphon/lib/sheets";
import { showFailure } from "antiphon/sidebar/failure";
import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

export class Tools {
  /** @param {import("antiphon/conversation/conversation").Conversation} conversation */
  constructor(conversation) {
    const { page } = conversation;
    this.page = page;
    this.picker = conversation.picker;
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("tools-button"));
    this.key = `draft.tools.${page.user.id}`;
    /** Once it is loaded. @type {import("antiphon/conversation/tools-sheet").ToolsSheet | null} */
    this.sheet = null;
    this.load = lazily(() => import("antiphon/conversation/tools-sheet"), ({ ToolsSheet }) => (this.sheet = new ToolsSheet(this)));
    this.button.addEventListener("click", () => this.toggle());
    this.mark(page.tools?.chosen || this.draft !== null);
    const before = this.picker.onPreset;
    this.picker.onPreset = (preset) => {
      before?.(preset);
      this.presetChanged();
    };
    this.presetChanged();
    conversation.parameters.more = () => (this.draft === null ? {} : { tools: this.draft });
    conversation.listeners.push((frame) => this.receive(frame));
  }

  toggle() {
    if (this.sheet?.isOpen) this.sheet.close();
    else void this.load().then((sheet) => sheet.open()).catch(showFailure);
  }

  /** What is chosen for a conversation that has not begun; null: nothing. @returns {string[] | null} */
  get draft() {
    if (this.page.conversation_id) return null;
    try {
      const found = JSON.parse(recall(this.key, "session") ?? "null");
      return Array.isArray(found) ? found.filter((one) => typeof one === "string") : null;
    } catch {
      return null;
    }
  }

  /** Another preset, or a model, is chosen for a conversation that has not begun. */
  presetChanged() {
    if (this.page.conversation_id) return;
    this.mark(this.draft !== null || Boolean(this.picker.preset?.tools));
    if (this.sheet?.isOpen) void this.sheet.load();
  }

  /** @param {import("antiphon/wire/protocol").Frame} frame */
  receive(frame) {
    const { page } = this;
    if (frame.type === "message.accepted" && !page.conversation_id) queueMicrotask(() => this.begun()); // when the page has its id
    else if (frame.type === "conversation.updated" && frame.conversation_id === page.conversation_id) this.changed(frame.tools);
  }

  /** What is chosen has changed, here or by another member. @param {string[] | null | undefined} chosen */
  changed(chosen) {
    if (chosen === undefined) return;
    if (this.sheet?.isOpen) this.sheet.changed();
    else this.mark(chosen !== null);
  }

  /** The conversation has begun, with what was chosen. */
  begun() {
    if (!this.page.conversation_id) return;
    remember(this.key, null, "session");
    this.sheet?.begun();
  }

  /** Marks the button of a conversation with tools of its own choice. @param {boolean} chosen */
  mark(chosen) {
    this.button.toggleAttribute("data-changed", Boolean(chosen));
    this.button.setAttribute("aria-label", chosen ? t("Tools, changed") : t("Tools"));
  }
}
