/**
 * The wire protocol `chat.v1` as the page needs it: what a close code asks for, and which errors may be tried again.
 * The contract is docs/protocol.md.
 */

import { t } from "antiphon/lib/texts";

export const PROTOCOL = "chat.v1";

/** @typedef {{epoch: string, seq: number}} Position */
/** @typedef {{type: string, [field: string]: any}} Frame */
/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string | null} parent_id
 * @property {"user" | "assistant"} role
 * @property {{id: string | null, name: string} | null} author in a copy, others have no id
 * @property {string} text
 * @property {string | null} html
 * @property {string} status
 * @property {Run | null} run
 * @property {string[]} [versions]
 * @property {import("antiphon/conversation/seam").Summary} [summary] of the messages up to this one
 * @property {string} [client_id]
 * @property {string} [created_at]
 * @property {string} [edited_at] when it was edited in place
 * @property {string} [deleted_at] when it was deleted: it has no text
 * @property {{id: string, name: string} | null} [asked_by] of a new answer: who asked for it
 * @property {{action: string, reason: string, case_id: string}} [moderation] what it did, if readers must know
 * @property {{size: number, chosen: string | null}} [comparison] of a question that several models answer side by side
 * @property {number} [slot] the place of an answer among them, from 1
 * @property {import("antiphon/files/requests").FileObject[]} [files] that are attached
 * @property {number} [deleted_files] how many were, and are deleted
 * @property {Usage} [usage] of all runs that wrote the answer, where there are several
 */
/** @typedef {{length: number, ms?: number, tokens?: number, text?: string}} Reasoning */
/** @typedef {{step: number, kind?: string, status: string, ms?: number, calls?: ToolCall[]}} Step */
/**
 * @typedef {object} ToolCall
 * @property {string} call_id
 * @property {string} title
 * @property {string} arguments
 * @property {string} status
 * @property {string} [server]
 * @property {"reads" | "writes"} [effect]
 * @property {number} [ms]
 * @property {string} [output] cut for display
 * @property {number} [output_chars] its whole length
 * @property {{id: string, name: string, media_type: string, size: number}[]} [files]
 */
/** @typedef {{output_tokens: number | null, estimated?: boolean, total_ms?: number | null, cost?: string | null}} Usage */
/**
 * @typedef {object} Run
 * @property {string} run_id
 * @property {string} message_id
 * @property {number} attempt
 * @property {string} model
 * @property {number} [part] 2 and more: the run continues the answer
 * @property {number} [base_length] code points of the answer before this run
 * @property {number} [waited_ms] of one in progress
 * @property {string} [waiting_for] a person, before it is queued
 * @property {string} [finish]
 * @property {boolean} [continuable]
 * @property {string | null} [message]
 * @property {string} [trace] of one that failed
 * @property {Reasoning} [reasoning]
 * @property {Usage} [usage]
 * @property {{total_ms: number | null}} [timing]
 * @property {Step[]} [steps] of an answer with tools
 * @property {import("antiphon/files/words").Use[]} [files] what the model got of them
 * @property {{dropped?: string[]}} [parameters] that were really sent, and the names of those that the model does not accept
 * @property {import("antiphon/conversation/context-use").ContextUse | null} [context]
 */

/**
 * The server's own list (chat/protocol), put into the page: what each close code asks for, and which error codes may be
 * sent again; sizes in bytes, which `hello` may replace.
 * @typedef {{after: "reconnect" | "rest" | "login" | "stop" | "leave", message: string}} AfterClose
 * @type {{closes: Record<string, AfterClose>, retryable: string[], limits: {text_bytes: number, frame_bytes: number}}}
 */
const SERVER = JSON.parse(
  document.getElementById("protocol")?.textContent ?? '{"closes": {}, "retryable": [], "limits": {}}',
);

export const LIMITS = { text_bytes: Infinity, frame_bytes: Infinity, ...SERVER.limits };

/**
 * What to do when a socket closes: `reconnect`, `rest` (reconnect when the page is used again), `login`, `stop`, or `leave`.
 * Codes that the server does not list, such as 1006, ask for `reconnect`.
 * @param {number} code
 */
export function afterClose(code) {
  return SERVER.closes[code]?.after ?? "reconnect";
}

/** Whether a close says that a message was at fault (RFC 6455 §7.4.1: protocol, data type, encoding, policy, size). @param {number} code */
export function isOfMessage(code) {
  return [1002, 1003, 1007, 1008, 1009].includes(code);
}

/** Whether a close does not say why, as when the connection breaks; the server's own codes do. @param {number} code */
export function isUnexplained(code) {
  return !(code in SERVER.closes) && code !== 1001 && code !== 1012;
}

/** @param {number} code */
export function closeMessage(code) {
  return SERVER.closes[code]?.message || t("The connection was closed.");
}

/** An `error` frame. `retryAfter` is in seconds. */
export class CommandError extends Error {
  /** @param {Frame} frame */
  constructor(frame) {
    super(frame.message || t("Something went wrong."));
    this.code = String(frame.code);
    this.retryAfter = typeof frame.retry_after === "number" ? frame.retry_after : null;
  }
}

/** Whether the very same command may be sent again without asking the user. @param {string} code */
export function isRetryable(code) {
  return SERVER.retryable.includes(code);
}

/** The length of a text in Unicode code points, as the protocol counts. @param {string} text */
export function codePoints(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The first `count` code points of a text. @param {string} text @param {number} count */
export function firstPoints(text, count) {
  return text.slice(0, text.length - skipPoints(text, count).length);
}

/** A text without its first `count` code points. @param {string} text @param {number} count */
export function skipPoints(text, count) {
  let at = 0;
  for (const point of text) {
    if (count-- <= 0) break;
    at += point.length;
  }
  return text.slice(at);
}

/** A UUID, also on plain http, where crypto.randomUUID is missing. */
export function makeId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = toHex(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** @param {Uint8Array} bytes */
function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Commands that may carry a `traceparent`: they begin something long. */
export const TRACED = new Set(["message.send", "message.edit", "message.regenerate", "message.continue", "audio.start"]);

/** The beginning of a trace (W3C Trace Context): its id goes with the message to the worker and into every log line. */
export function makeTraceparent() {
  const hex = toHex(crypto.getRandomValues(new Uint8Array(24)));
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-01`;
}
