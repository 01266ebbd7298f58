/**
 * What a call hears of the conversation beside the answer's words: what others say, tools that run, decisions that wait,
 * and what moderation or a fault did. In a call nobody looks at the page below.
 */

import { isolate } from "antiphon/lib/names";
import { t, told } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const LOOKING_MS = 700; // a call of a tool that takes longer is spoken of
const CAPTION = 300; // characters of what another person said
const REFUSALS = ["moderated", "quota_exceeded", "suspended", "forbidden", "rate_limited"]; // of what was said
const ENDS = ["run.done", "run.stopped", "run.failed", "run.interrupted"];
const LOOKING = t("I’m looking that up.");
const WORKING = t("I’m working on that.");
const DECIDE = t("This needs your decision. End the call to see it.");

export class CallEvents {
  /** @param {import("antiphon/voice/call").Call} call */
  constructor(call) {
    this.call = call;
    this.conversation = call.voice.conversation;
    this.playback = call.playback;
    /** Calls of tools that run. @type {Set<string>} */
    this.running = new Set();
    this.spokenOf = ""; // the run whose tools were spoken of
    this.timer = 0;
    this.listen = (/** @type {Frame} */ frame) => this.onFrame(frame);
    this.conversation.listeners.push(this.listen);
  }

  close() {
    clearTimeout(this.timer);
    const { listeners } = this.conversation;
    if (listeners.includes(this.listen)) listeners.splice(listeners.indexOf(this.listen), 1);
  }

  /** @param {Frame} frame */
  onFrame(frame) {
    const { page } = this.conversation;
    if (frame.type === "error" && REFUSALS.includes(frame.code)) this.call.trouble(frame.message);
    if (!frame.conversation_id || frame.conversation_id !== page.conversation_id) return;
    if (frame.type === "typing" && frame.speaking && frame.user.id !== page.user.id) this.call.showOther(t("{name} is speaking…", { name: isolate(frame.user.name) }));
    else if (frame.type === "message.created") this.onMessage(frame.message);
    else if (frame.type === "run.queued" || frame.type === "run.started") this.onRun(frame);
    else if (frame.type === "moderation.notice" && frame.action !== "release") this.call.trouble(told(frame.reason));
    else if (frame.type === "tool.call") this.onTool(frame);
    else if (frame.type === "tool.result") this.running.delete(frame.call_id);
    else if (frame.type === "tool.approval" && this.isOurs(frame.run_id)) {
      this.call.trouble(DECIDE);
      void this.say(frame.message_id, DECIDE, true);
    } else if (frame.type === "tool.decided") this.call.trouble("");
    else if (ENDS.includes(frame.type)) this.onEnd(frame);
  }

  /** @param {any} message */
  onMessage(message) {
    const { author, role } = message;
    if (role !== "user" || !author) return;
    const other = author.id !== this.conversation.page.user.id;
    this.call.showOther(other ? t("{name}: {text}", { name: isolate(author.name), text: message.text.slice(0, CAPTION) }) : "");
  }

  /** The answer to somebody else is read as well, unless one is speaking: that would interrupt it. @param {Frame} frame */
  onRun(frame) {
    const { playback, call } = this;
    if (playback.reading || playback.asked || call.speech || call.voice.finals.length) return;
    playback.asked = frame.run_id;
  }

  /** Whether one waits for, or hears, this run's answer. @param {string} runId */
  isOurs(runId) {
    return this.playback.asked === runId || this.playback.reading?.view.runId === runId;
  }

  /** @param {Frame} frame `tool.call` */
  onTool(frame) {
    this.running.add(frame.call_id);
    if (this.spokenOf === frame.run_id) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (!this.running.has(frame.call_id) || !this.isOurs(frame.run_id)) return;
      this.spokenOf = frame.run_id;
      void this.say(frame.message_id, frame.effect === "writes" ? WORKING : LOOKING);
    }, LOOKING_MS);
  }

  /** @param {Frame} frame */
  onEnd(frame) {
    this.running.clear();
    if (this.playback.asked === frame.run_id && frame.type !== "run.done") this.playback.asked = "";
    if (frame.type === "run.failed") this.call.trouble(told(frame.message ?? "") || t("Something went wrong. Try again."));
  }

  /**
   * Says what is no part of the answer: while nothing of it is read, or after that.
   * @param {string} messageId @param {string} text @param {boolean} [isNeeded] it is said after what is being read
   */
  async say(messageId, text, isNeeded = false) {
    const { playback } = this;
    const view = this.conversation.transcript.find(messageId);
    if (!view || (playback.reading && playback.reading.view !== view)) return;
    if (playback.reading?.waiting.size && !isNeeded) return;
    if (!playback.reading) {
      playback.asked = "";
      await playback.begin(view, true);
    }
    const { reading } = playback;
    if (reading?.view === view && (isNeeded || !reading.waiting.size)) playback.say(reading, { text, marks: [], end: 0 });
  }
}
