/**
 * How far people have read: tells the server how far its reader has, shows the others' places as small marks, and where
 * the news begins when a conversation is opened.
 */

import { initial } from "antiphon/conversation/presence";
import { list, t } from "antiphon/lib/texts";
import { makeId } from "antiphon/wire/protocol";
import { isolate } from "antiphon/lib/names";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const LOOK_MS = 250; // after the last change
const SEND_MS = 1_000; // between two positions
const NEAR_PX = 48; // so near to the end counts as the end
const MOST_SHOWN = 3;
const ENDS = ["run.done", "run.stopped", "run.failed", "run.interrupted"];

export class Reading {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.page = conversation.page;
    this.newest = this.page.reading?.newest ?? ""; // the newest message that is finished, on whichever branch
    /** The others' positions: message id by user id. @type {Map<string, string>} */
    this.positions = new Map(Object.entries(this.page.reading?.seen ?? {}));
    this.follows = false; // the server sends us this conversation's events
    this.sent = "";
    this.sentAt = -SEND_MS;
    this.timer = 0;
    this.divider = /** @type {HTMLElement | null} */ (null);
    this.listen();
    this.divide(this.page.reading?.unread_from ?? "");
    this.draw();
  }

  listen() {
    const { socket, scroll } = this.conversation;
    let offered = false;
    socket.on("hello", (hello) => {
      offered = hello.features?.includes("seen") ?? false;
      this.follows = false;
      this.sent = "";
    });
    /** @param {string} type @param {(frame: Frame) => void} then */
    const on = (type, then) => socket.on(type, (frame) => {
      // The id of a conversation that its first message makes is known a moment later.
      setTimeout(() => frame.conversation_id === this.page.conversation_id && then(frame));
    });
    on("subscribed", () => this.followed(offered));
    on("message.accepted", () => {
      this.divider?.remove();
      this.followed(offered);
    });
    on("reset", () => (this.follows = false));
    on("seen", ({ user, message_id }) => {
      this.positions.set(user.id, message_id);
      this.draw();
    });
    on("members.changed", () => this.draw());
    on("message.created", ({ message }) => {
      if (message.role === "user" && isLater(message.id, this.newest)) this.newest = message.id;
      this.later();
    });
    for (const end of ENDS) {
      on(end, ({ message_id, next_attempt }) => {
        if (!next_attempt && message_id && isLater(message_id, this.newest)) this.newest = message_id;
        this.later();
      });
    }
    const later = () => this.later();
    document.addEventListener("visibilitychange", later);
    scroll.scroller.addEventListener("scroll", later, { passive: true });
    // Another branch, or earlier messages: marks are drawn anew.
    new MutationObserver(() => this.draw()).observe(this.conversation.transcript.root, { childList: true });
  }

  /** @param {boolean} offered whether the server takes positions */
  followed(offered) {
    this.follows = offered;
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), Math.max(LOOK_MS, this.sentAt + SEND_MS - performance.now()));
  }

  /** Sends the position, if the reader has the end before their eyes. */
  look() {
    const { socket, scroll } = this.conversation;
    const id = this.page.conversation_id;
    if (!this.follows || !id || document.visibilityState !== "visible" || scroll.distance > NEAR_PX) return;
    const read = this.readTo();
    if (!read || read === this.sent) return;
    // The `ref` is ours, so that a refusal is no news for the person.
    if (!socket.send({ type: "seen", conversation_id: id, message_id: read, ref: makeId() })) return;
    this.sent = read;
    this.sentAt = performance.now();
  }

  /** The newest message that is read. An answer in progress is not, nor is what follows it. */
  readTo() {
    const known = this.conversation.transcript.path.filter((view) => !view.clientId && view.id);
    const active = known.findIndex((view) => view.active);
    if (active >= 0) return known[active - 1]?.id ?? "";
    const last = known.at(-1)?.id ?? "";
    return isLater(this.newest, last) ? this.newest : last;
  }

  /** Shows each of the others at the message up to which they have read. */
  draw() {
    for (const old of this.conversation.transcript.root.querySelectorAll(".read-by")) old.remove();
    const others = /** @type {{id: string, name: string}[]} */ (this.page.members ?? []).filter((one) => one.id !== this.page.user.id);
    /** @type {Map<HTMLElement, string[]>} names by message */
    const places = new Map();
    for (const { id, name } of others) {
      const at = this.placeOf(this.positions.get(id) ?? "");
      if (at) places.set(at, [...(places.get(at) ?? []), name]);
    }
    for (const [message, names] of places) message.append(mark(names));
  }

  /** The message of this path at a position; on another branch, the last one before it. @param {string} id */
  placeOf(id) {
    if (!id) return undefined;
    const path = this.conversation.transcript.path.filter((view) => view.id && !view.clientId);
    return (path.find((view) => view.id === id) ?? path.findLast((view) => isLater(id, view.id)))?.element;
  }

  /** Shows where the news begins. @param {string} id of the first message of it */
  divide(id) {
    const view = id ? this.conversation.transcript.find(id) : undefined;
    const place = view && (view.element.closest(".beside") ?? view.element);
    if (!place || view === this.conversation.transcript.path[0]) return;
    const line = Object.assign(document.createElement("div"), { className: "new-messages" });
    line.setAttribute("role", "separator");
    line.append(Object.assign(document.createElement("span"), { textContent: t("New messages") }));
    place.before(line);
    this.divider = line;
    const { scroll } = this.conversation;
    if (line.getBoundingClientRect().top >= scroll.scroller.getBoundingClientRect().top) return;
    scroll.pinned = false; // the news does not fit: it is read from where it begins
    line.scrollIntoView({ block: "start" });
  }
}

/** Whether one message id was made after another: ids begin with their time (UUID version 7). @param {string} one @param {string} other */
function isLater(one, other) {
  return one.slice(0, 13) > other.slice(0, 13);
}

/** @param {string[]} names */
function mark(names) {
  const line = Object.assign(document.createElement("p"), { className: "read-by" });
  const words = t("Read up to here by {names}", { names: list(names.map(isolate)) });
  line.title = words;
  for (const name of names.slice(0, MOST_SHOWN)) line.append(avatar(initial(name)));
  if (names.length > MOST_SHOWN) line.append(avatar(`+${names.length - MOST_SHOWN}`));
  line.append(Object.assign(document.createElement("span"), { className: "visually-hidden", textContent: words }));
  return line;
}

/** @param {string} words */
function avatar(words) {
  const sign = Object.assign(document.createElement("span"), { className: "avatar", textContent: words });
  sign.setAttribute("aria-hidden", "true");
  return sign;
}
