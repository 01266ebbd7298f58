/** Voice recording: the button, the panel with the partial transcript, and what happens to the final one (docs/voice.md). */

import { isComposing } from "antiphon/lib/keys";
import { t, tn, told } from "antiphon/lib/texts";
import { AudioSender } from "antiphon/voice/audio-sender";
import { CONNECTION_LOST, ENDINGS, NOT_CONNECTED, WARNINGS } from "antiphon/voice/messages";
import { SEE_CASES } from "antiphon/conversation/moderation";
import { makeId } from "antiphon/wire/protocol";
import { dropNote, showNote } from "antiphon/conversation/status";
import { recall } from "antiphon/lib/storage";
import { NO_VOICE } from "antiphon/voice/speech-playback";
import { TalkOver } from "antiphon/voice/talk-over";
import { VoicePanel } from "antiphon/voice/voice-panel";
import { Recorder } from "antiphon/voice/voice-recorder";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

const ASKING_MS = 700; // after that the browser is probably asking for permission
const CONNECT_MS = 3_000;
// Refusals that a call tries again after. `conflict`: asked for on a connection that was lost before the reply.
const REASONS = new Map([["conflict", "connection"], ...["asr_unavailable", "unavailable", "busy", "rate_limited"].map((code) => [code, "worker"])]);

export class Voice {
  /**
   * @param {import("antiphon/conversation/conversation").Conversation} conversation
   * @param {HTMLButtonElement} button
   * @param {import("antiphon/voice/speech-playback").SpeechPlayback | null} playback reads answers, where the browser can
   */
  constructor(conversation, button, playback) {
    this.conversation = conversation;
    this.playback = playback;
    this.talkOver = /** @type {TalkOver | import("antiphon/voice/call-turns").CallTurns | null} */ (playback && new TalkOver(playback));
    this.call = /** @type {import("antiphon/voice/call").Call | null} */ (null);
    this.button = button;
    this.panel = new VoicePanel(button, conversation.announcer);
    this.limitMs = Infinity;
    this.phase = /** @type {"off" | "starting" | "listening" | "finishing"} */ ("off");
    this.recorder = /** @type {Recorder | null} */ (null);
    this.id = this.lost = ""; // of the recording; of one that ended by a fault, whose last words are still transcribed
    this.turn = 0; // counts what was begun
    this.sender = new AudioSender(null);
    this.held = false;
    this.sends = false; // of this recording: final transcripts are sent automatically
    this.here = false; // this page sends them, not the server
    this.finals = /** @type {string[]} */ ([]); // transcripts that this page sends once no answer is in progress
    conversation.onChanged = () => this.sendFinals();
    conversation.listeners.push((/** @type {Frame} */ frame) => this.onFrame(frame));
    button.addEventListener("click", () => (this.phase === "off" ? this.start("auto") : this.finish()));
    document.getElementById("call")?.addEventListener("click", (event) => this.openCall(/** @type {HTMLElement} */ (event.currentTarget)));
    byId("voice-cancel").addEventListener("click", () => this.cancel());
    document.addEventListener("keydown", (event) => this.onKey(event, true), true);
    document.addEventListener("keyup", (event) => this.onKey(event, false), true);
    addEventListener("blur", () => this.held && this.release());
    addEventListener("pagehide", () => void (this.call?.end(), this.cancel()));
  }

  /** Alt + V, held, is push-to-talk; Escape discards the recording. @param {KeyboardEvent} event @param {boolean} down */
  onKey(event, down) {
    if (isComposing(event) || this.call) return;
    if (event.code === "KeyV" && event.altKey && !event.ctrlKey && !event.metaKey && down) {
      event.preventDefault();
      if (!event.repeat && this.phase === "off") this.startHeld();
    } else if (!down && this.held && (event.code === "KeyV" || event.key === "Alt")) {
      event.preventDefault();
      this.release();
    } else if (down && event.key === "Escape" && (this.phase === "listening" || this.phase === "starting")) {
      event.preventDefault();
      event.stopPropagation();
      this.cancel();
    }
  }

  /** Push-to-talk: records until the key is released. */
  startHeld() {
    this.held = true;
    return this.start("push_to_talk");
  }

  release() {
    this.held = false;
    this.finish();
  }

  /** @param {"auto" | "push_to_talk"} mode */
  async start(mode) {
    const { socket, page } = this.conversation;
    const turn = (this.turn += 1);
    this.sender = new AudioSender(null);
    this.id = "";
    this.here = Boolean(this.call || this.playback?.on); // the page sends, for only it can tell an echo
    // The server would begin an ordinary conversation: a temporary one begins with a message sent from here.
    this.sends = Boolean(this.call) || recall("voice.send") === "on" && (this.here || !this.conversation.temporary.begins);
    this.enter("starting", t("Starting…"));
    dropNote(); // of an earlier try
    if (!(await this.connected())) {
      await this.end();
      return this.tell(NOT_CONNECTED, "connection");
    }
    this.sender = new AudioSender(socket.socket);
    const worklet = this.button.dataset.worklet ?? "";
    this.recorder = new Recorder(worklet, (pcm, level) => this.onAudio(pcm, level), (message) => this.fail(message));
    const asking = setTimeout(() => {
      if (this.phase === "starting") this.panel.state.textContent = t("Waiting for the microphone. Your browser may be asking for permission.");
    }, ASKING_MS);
    try {
      await this.recorder.start();
      clearTimeout(asking);
      if (this.phase !== "starting") return void this.recorder?.stop();
      const started = await socket.request({
        type: "audio.start", conversation_id: page.conversation_id, client_id: makeId(), encoding: "pcm_s16le",
        sample_rate: 16000, mode, auto_send: this.sends && !this.here, language: this.language,
      });
      if (turn !== this.turn) return this.close("audio.cancel", started.recording_id); // lost on the way, and begun again
      this.id = this.panel.root.dataset.recording = started.recording_id;
      this.call?.begun(started.language);
      this.sender.stream = started.stream;
      this.limitMs = started.limits?.max_recording_ms ?? Infinity;
      const days = started.limits?.kept_days;
      this.panel.kept.textContent = days ? tn("Audio is kept for {count} day", "Audio is kept for {count} days", days) : "";
      if (this.phase === "starting") this.enter("listening", t("Listening…"));
      this.pass();
      if (/** @type {string} */ (this.phase) === "finishing") this.close("audio.stop");
      else if (/** @type {string} */ (this.phase) === "off") this.close("audio.cancel");
    } catch (error) {
      clearTimeout(asking);
      if (turn !== this.turn) return undefined;
      await this.end();
      const { code, message } = /** @type {Error & {code?: string}} */ (error);
      this.tell(message, REASONS.get(code ?? "") ?? "failed");
    }
    return undefined;
  }

  /** What is spoken: as chosen, where the server still understands it; else what the server takes for usual. */
  get language() {
    const [chosen, known] = [recall("voice.language"), this.button.dataset.languages];
    return chosen && (!known || known.split(" ").includes(chosen)) ? chosen : undefined;
  }

  /** @param {HTMLElement} button */
  async openCall(button) {
    const staff = button.dataset.help && { label: t("Let the server read"), run: () => void open(button.dataset.help) };
    if (!this.playback?.hasVoice) return void showNote(NO_VOICE, staff || undefined);
    if (this.phase !== "off") return void this.tell(t("Stop the recording first."));
    try {
      const { Call } = await import("antiphon/voice/call");
      await new Call(this).open(button.dataset.styles ?? "");
    } catch {
      this.tell(t("The server can’t be reached. Try again in a moment."));
    }
  }

  /** What ended a recording, or one that did not begin. @param {string} message @param {string} [reason] */
  tell(message, reason = "failed") {
    if (this.call) this.call.ended(reason, message);
    else if (message) showNote(message);
  }

  /** Whether there is a connection; one that is being made is waited for. */
  async connected() {
    const { socket } = this.conversation;
    const until = performance.now() + CONNECT_MS;
    while (!socket.ready && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
    return socket.ready;
  }

  /** @param {ArrayBuffer} pcm @param {number} level 0 to 1 */
  onAudio(pcm, level) {
    this.panel.showLevel(level);
    this.sender.add(this.call?.onAudio(pcm, level) ?? pcm);
    this.pass();
  }

  /** Sends what waits, as far as the connection takes it; ends the recording where its connection is gone. */
  pass() {
    const { wire } = this.sender;
    if (!wire || this.conversation.socket.socket !== wire) {
      if (this.phase !== "off") this.fail(CONNECTION_LOST, "connection");
      return;
    }
    this.sender.flush();
    this.panel.showTime(this.sender.duration, this.limitMs);
  }

  /** Stops recording; what was said is still transcribed. */
  async finish() {
    if (this.phase !== "listening" && this.phase !== "starting") return;
    this.enter("finishing", t("Transcribing…"));
    await this.recorder?.stop();
    this.pass();
    if (this.id) this.close("audio.stop");
  }

  async cancel() {
    if (this.phase === "off") return;
    const { id } = this;
    await this.end();
    if (id) this.close("audio.cancel", id);
  }

  /** @param {string} message @param {string} [reason] */
  async fail(message, reason) {
    const id = this.id && (this.lost = this.id);
    await this.end();
    this.tell(message, reason);
    if (id) this.close("audio.stop", id); // on the next connection, where this one is lost: its web process may be, too
  }

  /** @param {string} type @param {string} [id] */
  close(type, id = this.id) {
    // A recording that is over already is an error here, and no news.
    this.conversation.socket.request({ type, recording_id: id }).catch(() => {});
  }

  /** @param {Frame} frame */
  onFrame(frame) {
    if (!this.id || frame.recording_id !== this.id) {
      if (this.lost && frame.recording_id === this.lost && frame.type === "transcript.final") this.take(frame.text);
      if (frame.type === "error" && !frame.ref && frame.code === "asr_unavailable" && this.phase !== "off") this.fail(frame.message, "worker");
      return;
    }
    if (frame.type === "transcript.partial") this.hear(frame.text, frame.stable_chars);
    else if (frame.type === "transcript.final") this.take(frame.text);
    else if (frame.type === "speech.started") {
      this.panel.state.textContent = t("Speech detected…");
      this.conversation.people.presence.spoke();
      this.talkOver?.onSpeech(this.sender.duration - frame.at_ms);
      this.call?.onSpeech(true);
    } else if (frame.type === "speech.stopped") {
      this.panel.state.textContent = t("Listening…");
      this.talkOver?.onQuiet();
      this.call?.onSpeech(false);
    } else if (frame.type === "audio.warning" && WARNINGS[frame.code]) showNote(WARNINGS[frame.code](frame.ms));
    else if (frame.type === "audio.unsent") this.giveBack(frame);
    else if (frame.type === "moderation.notice") showNote(told(frame.reason), SEE_CASES);
    else if (frame.type === "message.accepted") this.conversation.accepted(frame, { type: "message.send" });
    else if (frame.type === "audio.closed") {
      const message = (frame.message ? told(frame.message) : ENDINGS[frame.reason]);
      this.end().then(() => this.tell(message, frame.reason));
    }
  }

  /** @param {string} text @param {number} stable how many characters will stay */
  hear(text, stable) {
    if (!(this.talkOver?.onWords(text) ?? true)) return;
    this.panel.show(text, stable);
    this.conversation.people.presence.spoke();
    this.call?.hear(text);
  }

  /** A final transcript: into the field, unless it is sent automatically. Echoes are dropped. @param {string} text */
  take(text) {
    this.panel.show("", 0);
    if (!text || this.talkOver?.onWords(text) === false) return;
    if (this.call) this.call.take(text);
    else if (!this.sends) this.write(text);
    else if (this.here) {
      this.finals.push(text);
      this.sendFinals();
    }
  }

  /** Sends what was said during an answer, as one message. */
  sendFinals() {
    if (!this.finals.length || this.conversation.transcript.busy || this.call?.isFinished === false) return;
    this.conversation.send(this.finals.splice(0).join(" "), { forced: true }); // who speaks is answered
  }

  /** @param {Frame} frame what could not be sent */
  giveBack(frame) {
    this.write(frame.text);
    showNote(frame.message, frame.code === "moderated" ? SEE_CASES : undefined);
  }

  /** @param {string} text */
  write(text) {
    const { composer } = this.conversation;
    const before = composer.field.value.trimEnd();
    composer.write(before ? `${before} ${text}` : text);
    composer.field.focus();
  }

  async end() {
    this.enter("off", "");
    this.panel.show("", 0);
    this.id = "";
    this.sender = new AudioSender(null);
    const { recorder } = this;
    this.recorder = null;
    await recorder?.stop();
  }

  /** @param {"off" | "starting" | "listening" | "finishing"} phase @param {string} words */
  enter(phase, words) {
    this.phase = phase;
    if (phase === "starting") this.limitMs = Infinity;
    this.panel.enter(phase, words);
  }
}
