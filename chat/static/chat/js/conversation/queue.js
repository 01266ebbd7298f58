/**
 * The waiting line of this conversation: messages that the server sends when the answer in progress has ended, for all
 * members to see, and those of this tab that are on their way into it.
 */

import { element } from "antiphon/lib/elements";
import { QueuedView, keyOf } from "antiphon/conversation/queued-view";
import { showNote } from "antiphon/conversation/status";
import { t, tn, told } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/conversation/queued-view").Queued} Queued */
/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */

const INCOMPLETE = ["failed", "stopped", "unwatched"]; // the answer before it is
const THEIR_TURN = [...INCOMPLETE, "behind"]; // reasons that are of no interest while an answer is in progress

export class Queue {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.root = element("queue");
    this.title = element("queue-title");
    this.list = /** @type {HTMLElement} */ (this.root.querySelector(".queue-list"));
    this.goOn = /** @type {HTMLButtonElement} */ (element("queue-go-on"));
    this.on = false; // whether the server has waiting lines
    this.shared = (conversation.page.members ?? []).length > 1; // others may ask at any moment
    /** @type {Map<string, Queued>} */
    this.rows = new Map((conversation.page.queued ?? []).map((/** @type {Queued} */ one) => [one.id, one]));
    /** On their way, by client id. @type {Map<string, Queued>} */
    this.locals = new Map();
    /** @type {Set<string>} ids of those that wait no more */
    this.gone = new Set();
    /** @type {Map<string, QueuedView>} */
    this.views = new Map();
    this.dragged = "";
    this.root.addEventListener("click", (event) => this.onClick(event));
    this.goOn.addEventListener("click", () => this.goOnNow().catch((error) => showNote(error.message)));
    this.list.addEventListener("dragstart", (event) => this.onDrag(event));
    for (const kind of ["dragover", "drop", "dragend"]) this.list.addEventListener(kind, (event) => this.onDrop(/** @type {DragEvent} */ (event)));
    this.show();
  }

  /** @param {Frame} hello */
  hello(hello) {
    this.on = Boolean(hello.features?.includes("queue"));
    this.conversation.composer.queues = this.on;
    this.conversation.composer.show();
  }

  /** What a message that is sent now does if it meets an answer in progress. @param {boolean} steers */
  whenBusy(steers) {
    const meets = this.conversation.transcript.busy || this.rows.size > 0 || this.locals.size > 0 || this.shared;
    if (!this.on || !meets) return undefined;
    return steers ? "steer" : "queue";
  }

  /** Whether a message that is written now is shown in the line, and not below the others. @param {string | undefined} whenBusy */
  takes(whenBusy) {
    return Boolean(whenBusy) && (this.conversation.transcript.busy || this.rows.size > 0 || this.locals.size > 0);
  }

  // --- what the server says -------------------------------------------------------------------------------------

  /** @param {Frame} event */
  apply(event) {
    if (event.type === "message.queued") this.place(event.message);
    else if (event.type === "members.changed") this.shared = event.members.length > 1;
    else if (event.type === "message.unqueued") this.drop(event.message_id, event.reason);
    else if (event.type === "message.created") {
      this.locals.delete(event.message.client_id);
      this.drop(event.message.id, "sent");
    }
    else if (event.type.startsWith("run.") && event.type !== "run.delta" && event.type !== "run.reasoning") this.show();
  }

  /** A snapshot: the whole line. @param {Queued[] | undefined} rows */
  replace(rows) {
    this.rows = new Map((rows ?? []).map((one) => [one.id, one]));
    this.show();
  }

  /** @param {Queued} one */
  place(one) {
    const known = this.rows.get(one.id);
    this.locals.delete(one.client_id);
    if (this.gone.has(one.id) || this.conversation.transcript.find(one.id) || (known && known.revision >= one.revision)) return this.show();
    this.rows.set(one.id, one);
    this.show();
    const { announcer } = this.conversation;
    const who = this.isOwn(one) ? "" : `${one.author.name}: `;
    if (!known) announcer.say(`${who}${t("Message queued. {line}.", { line: this.title.textContent ?? "" })}`);
    else if (one.reason && one.reason !== known.reason && one.message) announcer.say(`${who}${t("A queued message is waiting. {reason}", { reason: told(one.message) })}`);
    return undefined;
  }

  /** @param {string} id @param {string} reason */
  drop(id, reason) {
    const known = this.rows.get(id);
    this.gone.add(id);
    if (!known) return this.show();
    this.locals.delete(known.client_id);
    const view = this.views.get(id);
    const hadFocus = view?.element.contains(document.activeElement);
    if (view?.editing && reason === "sent") showNote(t("This message was sent before your change was saved."));
    this.rows.delete(id);
    this.show();
    if (hadFocus) (this.root.hidden ? this.conversation.composer.field : this.title).focus();
    this.conversation.announcer.say(reason === "sent" ? t("A queued message was sent.") : t("A queued message was removed."));
    return undefined;
  }

  // --- those on their way ---------------------------------------------------------------------------------------

  /** @param {string} clientId @param {string} text @param {Queued["files"]} [files] */
  addLocal(clientId, text, files) {
    const { id, name } = this.conversation.page.user;
    this.locals.set(clientId, { id: "", client_id: clientId, author: { id, name }, text, files, position: Infinity, revision: 0, local: "sending" });
    this.show();
  }

  /** @param {string} clientId @param {string} status @param {string} words @returns {boolean} whether it is in the line */
  showLocal(clientId, status, words) {
    const local = this.locals.get(clientId);
    if (!local) return false;
    local.local = status === "unsent" || status === "waiting" ? status : "sending";
    local.message = words;
    this.show();
    return true;
  }

  /** The server has it: the line shows it, soon or already, or it waits no more. @param {string} clientId @param {Frame} frame */
  confirm(clientId, frame) {
    if (!frame.queued || this.gone.has(frame.message_id) || this.rows.has(frame.message_id)) this.forgetLocal(clientId);
  }

  /** It was sent, or taken back. @param {string} clientId */
  forgetLocal(clientId) {
    if (this.locals.delete(clientId)) this.show();
  }

  // --- the page -------------------------------------------------------------------------------------------------

  /** @param {Queued} one */
  isOwn(one) {
    return one.author.id === this.conversation.page.user.id;
  }

  /** The line, the next message first. */
  get line() {
    const known = new Set([...this.rows.values()].map((one) => one.client_id));
    const rows = [...this.rows.values()].sort((a, b) => a.position - b.position || (a.id < b.id ? -1 : 1));
    return [...rows, ...[...this.locals.values()].filter((one) => !known.has(one.client_id))];
  }

  show() {
    const { line } = this;
    const { transcript, page } = this.conversation;
    const busy = Boolean(transcript?.running);
    const own = line.filter((one) => this.isOwn(one) && !one.local);
    const focused = document.activeElement;
    for (const [at, one] of line.entries()) {
      const key = keyOf(one);
      const view = this.views.get(key) ?? new QueuedView(one);
      this.views.set(key, view);
      const isOwn = this.isOwn(one);
      view.show(one, {
        own: isOwn && page.role !== "viewer", removable: isOwn || page.role === "owner", busy,
        first: own[0] === one, last: own.at(-1) === one, note: this.noteOf(one, busy),
      });
      if (this.list.children[at] !== view.element) this.list.insertBefore(view.element, this.list.children[at] ?? null);
    }
    const keys = new Set(line.map(keyOf));
    for (const [key, view] of this.views) {
      if (keys.has(key)) continue;
      view.element.remove();
      this.views.delete(key);
    }
    this.root.hidden = line.length === 0;
    this.goOn.hidden = busy || page.role === "viewer" || !INCOMPLETE.includes(own[0]?.reason ?? "") || Boolean(own[0]?.steers);
    this.title.textContent = tn("{count} message waiting", "{count} messages waiting", line.length);
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.list.contains(focused) && !focused.hidden) focused.focus();
  }

  /** @param {Queued} one @param {boolean} busy */
  noteOf(one, busy) {
    if (one.local) return one.message ?? "";
    if (one.steers && busy) return t("Will be sent as soon as the answer has stopped.");
    return busy && THEIR_TURN.includes(one.reason ?? "") ? "" : told(one.message ?? "");
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-queue]"));
    const view = this.viewOf(event);
    if (!button || !view) return;
    this.run(button.dataset.queue ?? "", view).catch((error) => {
      if (!("code" in error)) throw error;
      showNote(error.message);
    });
  }

  /** @param {Event} event */
  viewOf(event) {
    const item = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".queued"));
    return this.views.get(item?.dataset.id ?? "");
  }

  /** @param {string} action @param {QueuedView} view */
  async run(action, view) {
    const { one } = view;
    const { outbox, composer, socket } = this.conversation;
    if (action === "cancel") return view.close();
    if (one.local) {
      if (action === "send") return outbox.resend(one.client_id);
      const text = outbox.takeBack(one.client_id, action === "edit");
      if (action === "edit") composer.write([text, composer.field.value].filter(Boolean).join("\n\n"));
      return composer.field.focus();
    }
    if (action === "edit") return view.edit((text) => socket.request({ type: "queue.edit", message_id: one.id, text }));
    if (action === "up" || action === "down") {
      await this.move(one, action);
      const button = view.button(action);
      return (button.hidden ? view.button(action === "up" ? "down" : "up") : button).focus();
    }
    if (action === "send") return socket.request({ type: "queue.send_now", message_id: one.id });
    await socket.request({ type: "queue.remove", message_id: one.id });
    const undo = () => {
      composer.write([one.text, composer.field.value].filter(Boolean).join("\n\n"));
      if (one.files) this.conversation.withFiles((taker) => taker.giveBack(one.files));
    };
    if (this.isOwn(one)) showNote(t("Message removed."), { label: t("Undo"), run: undo });
    return undefined;
  }

  /** One's own next message goes, although the answer before it is not complete; the others follow in their turn. */
  async goOnNow() {
    const next = this.line.find((one) => this.isOwn(one) && !one.local);
    if (!next) return;
    this.title.focus(); // the button goes
    await this.conversation.socket.request({ type: "queue.send_now", message_id: next.id });
  }

  /** @param {Queued} one @param {string} action */
  async move(one, action) {
    const own = this.line.filter((other) => this.isOwn(other) && !other.local);
    const at = own.findIndex((other) => other.id === one.id);
    const before = own[action === "up" ? at - 1 : at + 2];
    await this.moveBefore(one.id, before?.id);
    this.conversation.announcer.say(t("Moved to place {place} of {count}.", { place: action === "up" ? at : at + 2, count: own.length }));
  }

  /** @param {string} id @param {string | undefined} before */
  moveBefore(id, before) {
    /** @type {Frame} */
    const command = { type: "queue.move", message_id: id };
    if (before) command.before = before;
    return this.conversation.socket.request(command);
  }

  /** @param {DragEvent} event */
  onDrag(event) {
    const view = this.viewOf(event);
    if (!view?.element.draggable || !event.dataTransfer) return;
    this.dragged = view.one.id;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", view.one.text);
    view.element.classList.add("is-dragged");
  }

  /** @param {DragEvent} event */
  onDrop(event) {
    if (!this.dragged) return;
    const target = this.viewOf(event);
    const mine = target && this.isOwn(target.one) && !target.one.local && target.one.id !== this.dragged;
    for (const view of this.views.values()) view.element.classList.toggle("is-target", event.type === "dragover" && mine && view === target);
    if (event.type === "dragover") return void (mine && event.preventDefault());
    event.preventDefault();
    const { dragged } = this;
    this.dragged = "";
    this.views.get(dragged)?.element.classList.remove("is-dragged");
    if (event.type === "drop" && mine) this.moveBefore(dragged, target.one.id).catch((error) => showNote(error.message));
    return undefined;
  }
}
