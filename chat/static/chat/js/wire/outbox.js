/**
 * Messages that the server has not accepted yet. Each is shown at once, kept in this browser until it is accepted, also
 * after its tab is closed, and sent with one `client_id`: sent twice, it is still one message. They are sent in order,
 * each after the answer to the one before.
 */

import { t, tn } from "antiphon/lib/texts";
import { makeId, isRetryable } from "antiphon/wire/protocol";
import { hideRefusal } from "antiphon/conversation/moderation";
import { forgetMessage, storedMessages, storeMessage } from "antiphon/lib/database";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").CommandError} CommandError */
/**
 * @typedef {object} Item
 * @property {Frame} command
 * @property {"waiting" | "sending" | "unsent"} state `unsent`: refused; the person or a timer decides
 * @property {boolean} sent whether the server may have it already
 * @property {string} ref of the command that is being sent
 * @property {boolean} restored an earlier life of this page, or another tab, wrote it
 * @property {number} tries
 * @property {number} timer
 * @property {boolean} overdue whether its reply is
 * @property {number} at
 * @property {import("antiphon/files/requests").FileObject[]} [files] of `attachments`, to show them
 */

const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 30;
const REPLY_MS = 8_000; // without a reply for this long, a message can be edited or deleted
const NO_CONNECTION = t("Waiting for a connection. It’s sent as soon as there is one.");
const NO_REPLY = t("The server hasn’t confirmed it yet.");
const ITS_TURN = t("Waiting for its turn.");

export class Outbox {
  /**
   * @param {object} options
   * @param {import("antiphon/wire/socket").Socket} options.socket
   * @param {import("antiphon/conversation/transcript").Transcript} options.transcript
   * @param {import("antiphon/conversation/queue").Queue} options.queue
   * @param {import("antiphon/lib/tab").Tab} options.tab
   * @param {string} options.userId
   * @param {() => string | null} options.conversationId
   * @param {(frame: Frame, command: Frame) => void} options.onAccepted
   * @param {(words: string) => void} options.onRefused
   * @param {(files: NonNullable<Item["files"]>) => void} options.onTakenBack
   */
  constructor(options) {
    this.options = options;
    /** @type {Map<string, Item>} */
    this.items = new Map();
    /** The site's rules refuse a message: its text, and why. @type {((text: string, reason: string) => void) | null} */
    this.onModerated = null;
    /** `ref`s of commands that an earlier life of this page may have sent before. @type {Set<string>} */
    this.restored = new Set();
    this.expected = ""; // the run of the message accepted last, until the page shows its answer
  }

  /** Takes over what this tab, or one that is closed, could not send. */
  async restore() {
    const { tab, userId, transcript } = this.options;
    await tab.ready;
    const [open, all] = [await tab.others(), await storedMessages(userId)];
    const here = all.filter(
      (one) => one.conversationId === this.options.conversationId() && !open.has(one.tab) && !this.items.has(one.clientId),
    );
    // New conversations of several closed tabs stay apart: one of them is taken.
    const owner = here.some((one) => one.tab === tab.id) ? tab.id : here[0]?.tab;
    for (const one of here) {
      if (one.conversationId === null && one.tab !== owner) continue;
      const item = Object.assign(this.insert(one.command, one.at, one.sent, one.files), { restored: true });
      this.add(item);
      this.store(item);
    }
    this.pump();
  }

  /** @param {string} text @param {{parentId?: string, ask?: boolean, model?: string, models?: string[], presetId?: string, temporary?: boolean, options?: Record<string, any>, folderId?: string, whenBusy?: string, files?: Item["files"]}} place */
  send(text, place) {
    /** @type {Frame} */
    const command = {
      type: "message.send", conversation_id: this.options.conversationId(), client_id: makeId(), text,
    };
    if (place.parentId) command.parent_id = place.parentId;
    if (place.ask !== undefined) command.ask = place.ask;
    if (place.models) command.models = place.models;
    else if (place.model) command.model = place.model;
    if (place.presetId && !command.conversation_id) command.preset_id = place.presetId;
    if (place.files?.length) command.attachments = place.files.map((file) => file.id);
    if (place.whenBusy) command.when_busy = place.whenBusy;
    if (place.temporary) command.temporary = true;
    if (place.options && !command.conversation_id) command.options = place.options;
    if (place.folderId && !command.conversation_id && !place.temporary) command.folder_id = place.folderId;
    hideRefusal();
    const item = this.insert(command, Date.now(), false, place.files);
    this.add(item);
    this.store(item);
    this.pump();
  }

  /** Shows a message: in the waiting line if that is where it goes. @param {Item} item */
  add({ command, files }) {
    const { queue, transcript } = this.options;
    if (queue.takes(command.when_busy)) queue.addLocal(command.client_id, command.text, files);
    else transcript.addLocal(command.client_id, command.text, files);
  }

  /** @param {Frame} command @param {number} at @param {boolean} sent @param {Item["files"]} files @returns {Item} */
  insert(command, at, sent, files) {
    /** @type {Item} */
    const item = { command, state: "waiting", sent, ref: "", restored: false, tries: 0, timer: 0, overdue: false, at, files };
    this.items.set(command.client_id, item);
    return item;
  }

  /** Sends the first waiting message, if it is its turn, and shows what the others wait for. */
  pump() {
    const items = [...this.items.values()];
    const { socket, transcript } = this.options;
    const next = items.find((item) => item.state !== "waiting") ? undefined : items[0];
    // One that the server may have must be asked for at once: the answer in progress may be its own.
    const waits = next?.command.ask === false || (next?.command.when_busy && this.options.conversationId()); // by the server, if it must
    if (next && socket.ready && (next.sent || waits || !(transcript.running || this.expects()))) this.deliver(next);
    for (const item of items) {
      if (item.state === "unsent") continue;
      const words = socket.ready ? (item.state === "sending" ? (item.overdue ? NO_REPLY : "") : ITS_TURN) : NO_CONNECTION;
      this.show(item, words ? "waiting" : "local", words);
    }
  }

  /** Whether the answer to the message before has yet to appear: until then nothing shows that it is in progress. */
  expects() {
    if (this.options.transcript.runs.has(this.expected)) this.expected = "";
    return this.expected !== "";
  }

  /** @param {string} runId */
  expect(runId) {
    this.expected = runId;
    setTimeout(() => {
      if (this.expected !== runId) return;
      this.expected = ""; // it is on another branch, or was removed
      this.pump();
    }, REPLY_MS);
  }

  /** @param {Item} item @param {string} status @param {string} words */
  show(item, status, words) {
    if (this.options.queue.showLocal(item.command.client_id, status, words)) return;
    const view = this.options.transcript.findLocal(item.command.client_id);
    if (!view || (view.status === status && view.trouble === words)) return;
    view.setStatus(status);
    view.note(words);
    this.options.transcript.changed();
  }

  /** @param {Item} item */
  async deliver(item) {
    const { command } = item;
    if (!item.sent && !command.conversation_id && this.options.conversationId()) this.follow(command);
    item.state = "sending";
    item.sent = true;
    item.ref = makeId();
    if (item.restored) this.restored.add(item.ref);
    this.store(item);
    item.overdue = false;
    item.timer = setTimeout(() => {
      item.overdue = true;
      this.pump();
    }, REPLY_MS);
    try {
      const frame = await this.options.socket.request({ ...command, ref: item.ref });
      clearTimeout(item.timer);
      if (!frame.duplicate && frame.run_id) this.expect(frame.run_id);
      const forgotten = this.forget(command.client_id);
      if (frame.duplicate) await forgotten; // the page may be left
      this.options.onAccepted(frame, command);
      for (const other of this.items.values()) this.store(other); // their conversation may exist now
      if (frame.queued !== undefined) this.queued(command.client_id, frame);
      else {
        this.options.queue.forgetLocal(command.client_id);
        this.options.transcript.confirm(command.client_id, frame.message_id);
      }
      this.pump();
    } catch (error) {
      this.failed(item, /** @type {CommandError} */ (error));
    }
  }

  /** The server keeps it: the line shows it, or it was removed there. @param {string} clientId @param {Frame} frame */
  queued(clientId, frame) {
    const view = this.options.transcript.findLocal(clientId);
    if (view) this.options.transcript.remove(view);
    this.options.queue.confirm(clientId, frame);
  }

  /** The message before it has created the conversation in the meantime. @param {Frame} command */
  follow(command) {
    command.conversation_id = this.options.conversationId();
    delete command.preset_id;
    delete command.temporary;
    delete command.options;
    delete command.folder_id;
  }

  /** @param {Item} item @param {CommandError} error */
  failed(item, error) {
    clearTimeout(item.timer);
    item.state = "unsent";
    if (error.code === "moderated") return this.onModerated?.(this.takeBack(item.command.client_id, true), error.message);
    this.options.onRefused(error.message);
    if (isRetryable(error.code)) {
      item.tries += 1;
      const grown = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** item.tries) * (0.5 + Math.random() / 2);
      this.countDown(item, error.message, Math.ceil(error.retryAfter ?? grown));
    } else this.show(item, "unsent", error.message);
    return undefined;
  }

  /** @param {Item} item @param {string} words @param {number} seconds */
  countDown(item, words, seconds) {
    if (item.state !== "unsent") return;
    if (seconds <= 0) return void this.resend(item.command.client_id);
    this.show(item, "unsent", `${words} ${tn("Retrying in {count} s.", "Retrying in {count} s.", seconds)}`);
    item.timer = setTimeout(() => this.countDown(item, words, seconds - 1), 1000);
  }

  /** Sends a refused message again. @param {string} clientId */
  resend(clientId) {
    const item = this.items.get(clientId);
    if (item?.state !== "unsent") return;
    clearTimeout(item.timer);
    item.state = "waiting";
    this.pump();
  }

  /** Takes a message back that is not accepted. @param {string} clientId @param {boolean} again whether it is to be edited @returns {string} its text */
  takeBack(clientId, again) {
    const item = this.items.get(clientId);
    const view = this.options.transcript.findLocal(clientId);
    if (view) this.options.transcript.remove(view);
    if (!item) return "";
    clearTimeout(item.timer);
    this.options.socket.forget(item.ref);
    this.options.queue.forgetLocal(clientId);
    this.forget(clientId);
    this.pump();
    if (again && item.files) this.options.onTakenBack(item.files);
    return item.command.text;
  }

  /** @param {Item} item */
  store({ command, sent, at, files }) {
    const { tab, userId, conversationId } = this.options;
    const stored = { clientId: command.client_id, userId, conversationId: conversationId(), tab: tab.id, at, sent, command, files };
    storeMessage(stored);
  }

  /** @param {string} clientId */
  forget(clientId) {
    this.items.delete(clientId);
    return forgetMessage(clientId);
  }
}
