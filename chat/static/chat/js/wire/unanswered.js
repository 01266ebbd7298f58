/** The commands that wait for their reply, over as many connections as it takes, and what becomes of those that cannot get one. */

import { t } from "antiphon/lib/texts";
import { CommandError, closeMessage, isOfMessage, isUnexplained } from "antiphon/wire/protocol";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/**
 * @typedef {object} Waiting a command that waits for its reply
 * @property {Frame} frame
 * @property {string} traceparent
 * @property {(reply: Frame) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {boolean} delivered on the present connection
 * @property {number} losses connections that were lost before it was answered
 */

const MOST_LOSSES = 3; // connections lost with one unanswered command

const TOO_LARGE = t("This message is too long to be sent. Shorten it, or send it in parts.");
const NOT_CARRIED = t("The connection was lost each time this message was sent. Something on the way may not let it through.");

export class Unanswered {
  constructor() {
    /** @type {Map<string, Waiting>} by `ref` */
    this.commands = new Map();
  }

  get size() {
    return this.commands.size;
  }

  /** Those that are not on the present connection yet. */
  get undelivered() {
    return [...this.commands.values()].filter((command) => !command.delivered);
  }

  /** @param {Frame} frame with a `ref` @param {string} traceparent @param {(command: Waiting) => void} deliver @returns {Promise<Frame>} */
  add(frame, traceparent, deliver) {
    return new Promise((resolve, reject) => {
      /** @type {Waiting} */
      const command = { frame, traceparent, resolve, reject, delivered: false, losses: 0 };
      this.commands.set(frame.ref, command);
      deliver(command);
    });
  }

  /** @param {Frame} reply */
  answer(reply) {
    const command = reply.ref && this.commands.get(reply.ref);
    if (!command) return;
    if (reply.type === "error") this.reject(command, reply);
    else {
      this.commands.delete(reply.ref);
      command.resolve(reply);
    }
  }

  /** @param {Waiting} command @param {Frame} error */
  reject(command, error) {
    this.commands.delete(command.frame.ref);
    command.reject(new CommandError(error));
  }

  /** @param {Waiting} command */
  rejectTooLarge(command) {
    this.reject(command, { type: "error", code: "too_large", message: TOO_LARGE });
  }

  /**
   * An error without a `ref`, for a frame that the server could not read.
   * @param {Frame} error @returns {boolean} whether it is that of one of our commands
   */
  rejectUnread(error) {
    const sent = [...this.commands.values()].filter((command) => command.delivered);
    const named = sent.find((command) => error.client_id && command.frame.client_id === error.client_id);
    const size = (/** @type {Waiting} */ command) => JSON.stringify(command.frame).length;
    const longest = sent.sort((a, b) => size(b) - size(a))[0];
    // Of several commands without a name, only what is too large points at one.
    const found = named ?? (sent.length === 1 || error.code === "too_large" ? longest : undefined);
    if (found) this.reject(found, error);
    return Boolean(found);
  }

  /**
   * The connection is lost. Rejects what sending again cannot help: a command that closes each connection would do so
   * for ever. @param {number} code @param {boolean} isFinal no other connection follows
   */
  lost(code, isFinal) {
    for (const command of [...this.commands.values()]) {
      if (isFinal) this.reject(command, { type: "error", code: "closed", message: closeMessage(code) });
      else if (command.delivered && isOfMessage(code)) this.rejectTooLarge(command);
      else if (command.delivered && isUnexplained(code) && navigator.onLine !== false) command.losses += 1;
      if (command.losses >= MOST_LOSSES) this.reject(command, { type: "error", code: "not_carried", message: NOT_CARRIED });
      command.delivered = false;
    }
  }
}
