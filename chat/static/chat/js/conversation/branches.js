/** Which branch the reader looks at: the server keeps it, their tabs show the same, and others' branches are offered. */

import { fetchPiece } from "antiphon/lib/fetch";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").Message} Message */

const SETTLE_MS = 3_000; // after a reconnect, for the events that were missed

/**
 * Whether the reader wrote a message or asked for an answer, on any device.
 * @param {Message} message @param {import("antiphon/conversation/transcript").Transcript} transcript
 */
export function isOwn(message, transcript) {
  const by = message.author ?? message.asked_by;
  return by ? by.id === transcript.options.userId : transcript.following;
}

export class Branches {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.isVisiting = false; // a jump shows another branch or another part: for this visit, the page stays there
    conversation.onVisit = () => (this.isVisiting = true);
    conversation.transcript.options.onOffer = (view, message) => this.offer(view, message);
    conversation.listeners.push((frame) => this.onFrame(frame));
  }

  /** Somebody else edited a message that is shown, or asked for another answer. @param {MessageView} view @param {Message} message */
  offer(view, message) {
    const name = (message.author ?? message.asked_by)?.name ?? t("Somebody");
    const words = message.role === "user" ? t("{name} edited this message.", { name }) : t("{name} asked for another answer.", { name });
    const place = /** @type {HTMLElement | null} */ (view.element.querySelector(".branch-offer"));
    const [line, button] = [place?.querySelector("p"), place?.querySelector("button")];
    if (!place || !line || !button) return;
    line.textContent = words;
    button.dataset.version = message.id;
    place.hidden = false;
    this.conversation.announcer.say(words);
  }

  /** The server keeps which branch is shown, and the reader's other tabs go with it. @param {string} wanted a message of it */
  async remember(wanted) {
    const { transcript, socket } = this.conversation;
    try {
      await socket.request({ type: "branch.view", message_id: wanted });
    } catch {
      return; // the next message names its place itself
    }
    if (transcript.find(wanted)) transcript.tip = transcript.last?.id ?? transcript.tip;
  }

  /** Shows the branch with a message, which the page may not have. @param {string} wanted @returns {Promise<MessageView | undefined>} */
  async load(wanted) {
    const { transcript, page, scroll } = this.conversation;
    this.isVisiting = false;
    const piece = await fetchPiece(`${page.urls.root}c/${page.conversation_id}/branch/${wanted}/`);
    const mark = /** @type {HTMLElement} */ (piece.querySelector(".piece"));
    const parent = mark.dataset.parent;
    if (parent && !transcript.find(parent)) return void location.reload(); // it parts above what is loaded
    const position = { epoch: mark.dataset.epoch ?? "", seq: Number(mark.dataset.seq) };
    const first = transcript.turn(piece);
    scroll.pinned = false;
    // The page was read a moment ago: what happened since is told again from there.
    this.conversation.subscription?.rewind(position);
    return first;
  }

  /** @param {Frame} frame */
  onFrame(frame) {
    const { page, transcript } = this.conversation;
    if (frame.conversation_id !== page.conversation_id) return;
    if (frame.type === "branch.viewed") void this.follow(frame.message_id, frame.tip);
    if (frame.type === "subscribed" && frame.recovered && frame.tip) {
      const { tip } = transcript;
      setTimeout(() => transcript.tip === tip && void this.follow(frame.tip, frame.tip), SETTLE_MS);
    }
  }

  /** Another tab of the reader shows another branch. @param {string} id where it parts @param {string} tip its end */
  async follow(id, tip) {
    const { transcript } = this.conversation;
    if (this.isVisiting) return;
    const known = [...transcript.shown.map((view) => view.id), ...(transcript.beside?.versions ?? [])];
    if (known.includes(tip) || (known.includes(id) && transcript.following)) return;
    try {
      if (await this.load(id)) transcript.tip = transcript.last?.id ?? tip;
    } catch {
      // The server cannot be reached: the next load of the page shows it.
    }
  }
}
