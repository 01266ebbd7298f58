/**
 * Messages that the server has not accepted yet. Each is shown at once, kept through reloads of this tab, and sent with
 * one `client_id` until it is accepted: sent twice, it is still one message.
 */

import { makeId, isRetryable } from "antiphon/wire/protocol";
import { recall, remember } from "antiphon/lib/storage";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").CommandError} CommandError */

const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 30;

export class Outbox {
  /**
   * @param {object} options
   * @param {import("antiphon/wire/socket").Socket} options.socket
   * @param {import("antiphon/conversation/transcript").Transcript} options.transcript
   * @param {string} options.userId
   * @param {() => string | null} options.conversationId
   * @param {(frame: Frame, command: Frame) => void} options.onAccepted
   * @param {(words: string) => void} options.onRefused
   */
  constructor(options) {
    this.options = options;
    /** @type {Map<string, {command: Frame, tries: number, timer: number}>} */
    this.items = new Map();
  }

  get key() {
    return `outbox.${this.options.userId}.${this.options.conversationId() ?? "new"}`;
  }

  /** Sends what this tab could not send before its reload. */
  restore() {
    const kept = recall(this.key, "session");
    if (!kept) return;
    for (const command of /** @type {Frame[]} */ (JSON.parse(kept))) this.add(command);
  }

  /** @param {string} text @param {{parentId?: string, model?: string, presetId?: string, temporary?: boolean}} place */
  send(text, place) {
    /** @type {Frame} */
    const command = {
      type: "message.send", conversation_id: this.options.conversationId(), client_id: makeId(), text,
    };
    if (place.parentId) command.parent_id = place.parentId;
    if (place.model) command.model = place.model;
    if (place.presetId && !command.conversation_id) command.preset_id = place.presetId;
    if (place.temporary) command.temporary = true;
    this.add(command);
  }

  /** @param {Frame} command */
  add(command) {
    this.items.set(command.client_id, { command, tries: 0, timer: 0 });
    this.options.transcript.addLocal(command.client_id, command.text);
    this.save();
    this.deliver(command.client_id);
  }

  /** @param {string} clientId */
  async deliver(clientId) {
    const item = this.items.get(clientId);
    if (!item) return;
    clearTimeout(item.timer);
    const view = this.options.transcript.findLocal(clientId);
    view?.setStatus("local");
    view?.note("");
    this.options.transcript.changed();
    try {
      const frame = await this.options.socket.request(item.command);
      const key = this.key;
      this.items.delete(clientId);
      this.save(key);
      this.options.onAccepted(frame, item.command);
      this.options.transcript.confirm(clientId, frame.message_id);
    } catch (error) {
      this.failed(clientId, /** @type {CommandError} */ (error));
    }
  }

  /** @param {string} clientId @param {CommandError} error */
  failed(clientId, error) {
    const item = this.items.get(clientId);
    const view = this.options.transcript.findLocal(clientId);
    if (!item || !view) return;
    view.setStatus("unsent");
    this.options.onRefused(error.message);
    if (!isRetryable(error.code)) {
      view.note(error.message);
    } else {
      item.tries += 1;
      const grown = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** item.tries) * (0.5 + Math.random() / 2);
      this.countDown(clientId, error.message, Math.ceil(error.retryAfter ?? grown));
    }
    this.options.transcript.changed();
  }

  /** @param {string} clientId @param {string} words @param {number} seconds */
  countDown(clientId, words, seconds) {
    const item = this.items.get(clientId);
    const view = this.options.transcript.findLocal(clientId);
    if (!item || !view || view.status !== "unsent") return;
    if (seconds <= 0) {
      this.deliver(clientId);
      return;
    }
    view.note(`${words} Retrying in ${seconds} s.`);
    item.timer = setTimeout(() => this.countDown(clientId, words, seconds - 1), 1000);
  }

  /** Takes an unsent message back for editing. @param {string} clientId @returns {string} its text */
  takeBack(clientId) {
    const item = this.items.get(clientId);
    clearTimeout(item?.timer);
    this.items.delete(clientId);
    this.save();
    const view = this.options.transcript.findLocal(clientId);
    if (view) this.options.transcript.remove(view);
    return item?.command.text ?? "";
  }

  save(key = this.key) {
    const commands = [...this.items.values()].map((item) => item.command);
    remember(key, commands.length ? JSON.stringify(commands) : null, "session");
  }
}
