/**
 * A cursor in one conversation's log: asks for events from where it stands, hands each on once, acknowledges them.
 * The server never skips: a `seq` may jump where deltas were merged, and never goes back but on our own request.
 */

import { makeId } from "antiphon/wire/protocol";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").Position} Position */

const ACK_EVENTS = 16;
const ACK_MS = 250;

export class Subscription {
  /**
   * @param {string} conversationId
   * @param {Position | null} position null asks for a snapshot
   * @param {object} options
   * @param {(frame: Frame) => unknown} options.request sends `subscribe` when there is a connection
   * @param {(frame: Frame) => void} options.send
   * @param {(event: Frame) => boolean} options.onEvent false when text is missing before it
   * @param {(snapshot: Frame) => void} options.onSnapshot
   */
  constructor(conversationId, position, options) {
    this.conversationId = conversationId;
    this.position = position;
    this.options = options;
    this.ref = ""; // of the latest `subscribe`
    this.waiting = true; // for `subscribed`: until then events are of an earlier request
    this.unacked = 0;
    this.timer = 0;
    this.refusals = 0; // one after another
  }

  /** Asks again later: the server cannot now. @param {Frame} error */
  retry(error) {
    const grown = Math.min(30, 2 ** ++this.refusals) * (0.5 + Math.random() / 2);
    setTimeout(() => this.waiting && this.ref === error.ref && this.subscribe(), 1000 * (error.retry_after ?? grown));
  }

  /** Asks for what comes after our position; without one, for a snapshot. */
  subscribe() {
    this.waiting = true;
    /** @type {Frame} */
    const frame = { type: "subscribe", conversation_id: this.conversationId, ref: (this.ref = makeId()) };
    if (this.position) frame.position = this.position;
    this.options.request(frame);
  }

  /** Starts over from a snapshot: text is missing, or the log was lost. */
  resync() {
    this.position = null;
    this.subscribe();
  }

  /** Goes back to an earlier position; handling events twice does no harm. @param {Position} position */
  rewind(position) {
    this.position = position;
    this.subscribe();
  }

  /** @param {Frame} frame the reply `subscribed` */
  subscribed(frame) {
    this.waiting = false;
    this.refusals = 0;
    if (!frame.recovered || !this.position) this.position = frame.position;
    if (!frame.recovered && frame.snapshot) this.options.onSnapshot({ ...frame.snapshot, tip: frame.tip });
  }

  /** The server follows by itself after `message.accepted`. @param {Position} position */
  followed(position) {
    this.waiting = false;
    this.position = position;
  }

  /** @param {Frame} event */
  receive(event) {
    if (this.waiting || !this.position || event.seq <= this.position.seq) return;
    if (!this.options.onEvent(event)) {
      this.resync();
      return;
    }
    this.position.seq = event.seq;
    this.unacked += 1;
    if (this.unacked >= ACK_EVENTS) this.ack();
    else if (!this.timer) this.timer = setTimeout(() => this.ack(), ACK_MS);
  }

  ack() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.unacked && this.position) {
      this.options.send({ type: "ack", conversation_id: this.conversationId, seq: this.position.seq });
    }
    this.unacked = 0;
  }
}
