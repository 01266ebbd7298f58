/** Reads answers aloud, sentence by sentence as they arrive, with the browser's or the server's voice (docs/voice.md). */

import { isComposing } from "antiphon/lib/keys";
import { t } from "antiphon/lib/texts";
import { showNote } from "antiphon/conversation/status";
import { recall, remember } from "antiphon/lib/storage";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/voice/markdown-to-speech").Sentence} Sentence */
/** @typedef {import("antiphon/voice/server-voice").ServerVoice} ServerVoice */
/** @typedef {import("antiphon/voice/markdown-to-speech").Sentences} Sentences */

const RECENT_MS = 2_000; // what was said can still be heard as an echo
const RECENT_SENTENCES = 3;
const SILENT_MS = 4_000; // a voice that has not begun by then will not
export const NO_VOICE = t("This browser has no voice for reading aloud. Install one in the settings of your device, or use another browser.");
const TROUBLE = /** @type {Record<string, string>} */ ({
  "not-allowed": t("Click or type on this page first, then the browser can read aloud."),
  network: t("This voice needs a network connection, which is not available."),
  "language-unavailable": t("This browser has no voice for this language."),
  "voice-unavailable": t("The selected voice is no longer available. Choose another one in the settings, under Voice."),
});

/**
 * @typedef {object} Reading
 * @property {MessageView} view
 * @property {boolean} first read automatically while it arrives: at a barge-in, the user has heard no more of it
 * @property {Sentences} sentences
 * @property {SpeechSynthesis | ServerVoice} engine who reads
 * @property {Set<SpeechSynthesisUtterance>} waiting kept, or the browser may forget them and their events
 * @property {number} heard code points of the answer that were said
 * @property {string} text of the answer, as it was fed last
 * @property {number} since when it began to be heard, 0 before
 */

export class SpeechPlayback {
  /** @param {import("antiphon/conversation/conversation").Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.voices = /** @type {SpeechSynthesis | undefined} */ (window.speechSynthesis);
    /** Loaded with the first answer that it reads. @type {ServerVoice | null} */
    this.server = null;
    this.toggle = /** @type {HTMLButtonElement} */ (document.getElementById("aloud"));
    this.line = /** @type {HTMLElement} */ (document.getElementById("reading"));
    /** @type {Reading | null} */
    this.reading = null;
    this.asked = ""; // the run whose answer is read once it comes
    /** Loaded with the first answer that is read. @type {typeof import("antiphon/voice/markdown-to-speech").Sentences | null} */
    this.Sentences = null;
    this.language = /** @type {typeof import("antiphon/voice/language") | null} */ (null); // loaded with it
    /** The answer that is read once that is loaded. @type {MessageView | null} */
    this.awaited = null;
    this.quietAt = -Infinity;
    /** @type {{text: string, at: number}[]} sentences begun of late */
    this.recent = [];
    this.silence = 0;
    document.documentElement.dataset.aloud = "";
    this.turn(recall("aloud") === "on");
    this.toggle.addEventListener("click", () => this.switch());
    addEventListener("antiphon:choice", (event) => /** @type {CustomEvent} */ (event).detail.name === "aloud" && this.turn(recall("aloud") === "on"));
    this.line.querySelector("button")?.addEventListener("click", () => this.stop());
    this.voices?.getVoices(); // some browsers list them only after the first question
    document.addEventListener("keydown", (event) => this.onKey(event), true);
    addEventListener("pagehide", () => this.stop());
  }

  /** Escape ends reading, before it ends anything else; Alt + R reads the last answer. @param {KeyboardEvent} event */
  onKey(event) {
    if (isComposing(event)) return;
    const open = document.querySelector(":popover-open, dialog[open]");
    if (event.key === "Escape" && this.reading && !open) this.stop();
    else if (event.code === "KeyR" && event.altKey && !event.ctrlKey && !event.metaKey && !event.repeat && !open) this.readLast();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  get on() {
    return this.toggle.getAttribute("aria-pressed") === "true";
  }

  /** @param {boolean} on */
  turn(on) {
    this.toggle.setAttribute("aria-pressed", String(on));
    remember("aloud", on ? "on" : null);
  }

  switch() {
    this.turn(!this.on);
    if (!this.on) this.stop();
    else if (!this.hasVoice) showNote(NO_VOICE);
    this.conversation.announcer.say(this.on ? t("Answers will be read aloud.") : t("Answers will no longer be read aloud."));
  }

  get hasVoice() {
    return this.usesServer || Boolean(this.voices?.getVoices().length);
  }

  /** Whether the server reads: where a voice of it is chosen, or the browser has none. */
  get usesServer() {
    return "served" in this.toggle.dataset && Boolean(recall("voice.server") || !this.voices?.getVoices().length);
  }

  // --- what is read -------------------------------------------------------------------------------------------------

  /** The server took something of ours: its answer is read, in the tab one looks at. @param {Frame} frame `message.accepted` */
  onAccepted(frame) {
    const isRead = this.asked === frame.run_id || this.reading?.view.runId === frame.run_id;
    if (frame.duplicate && (isRead || this.conversation.outbox.restored.has(frame.ref ?? ""))) return; // asked before
    this.stop();
    if (!this.on || document.visibilityState !== "visible" || frame.runs) return; // of several, the chosen one is read
    this.asked = frame.run_id;
    this.follow(frame.run_id);
  }

  /** One of several answers goes on. @param {MessageView} view */
  onChosen(view) {
    if (this.on && document.visibilityState === "visible" && this.reading?.view !== view && view.text) this.begin(view, view.active);
  }

  /** @param {Frame} event of the conversation's log, after the page has taken it in */
  onEvent(event) {
    const { reading } = this;
    if (this.asked && (event.run_id === this.asked || event.type === "snapshot")) this.follow(this.asked);
    if (!reading) return;
    if (event.type === "snapshot") {
      if (reading.view.text.startsWith(reading.text)) this.feed();
      else this.stop(); // what was read was withdrawn
    } else if (event.run_id === reading.view.runId) {
      if (event.type === "run.stopped" || event.next_attempt) this.stop(); // quiet is wanted; or it begins again
      else this.feed();
    } else if (event.type === "message.updated" && event.message.id === reading.view.id && !reading.view.text.startsWith(reading.text)) {
      this.stop(); // it was cut or taken back
    }
  }

  /** Begins with the answer of a run once there is some of it. @param {string} runId */
  follow(runId) {
    const { transcript } = this.conversation;
    const id = transcript.runs.get(runId);
    const view = id ? transcript.find(id) : undefined;
    if (view && !view.text && !view.active) this.asked = ""; // it ended without a word
    if (!view?.text) return;
    this.asked = "";
    this.begin(view, true);
  }

  /** From the button at an answer, which also ends it. @param {MessageView} view */
  readFrom(view) {
    const again = this.reading?.view !== view;
    this.stop();
    if (again) this.begin(view, false);
  }

  readLast() {
    const view = this.conversation.transcript.path.findLast((one) => one.role === "assistant" && one.text);
    if (view) this.readFrom(view);
  }

  /** @param {MessageView} view @param {boolean} first @returns {Promise<void> | undefined} once it is loaded, if that takes time */
  begin(view, first) {
    this.stop();
    if (!this.hasVoice) {
      if (!first) showNote(NO_VOICE);
      return undefined;
    }
    const engine = this.usesServer ? this.server : this.voices;
    if (!this.Sentences || !engine) return this.load(view, first);
    if (engine === this.server) this.server.message = view.id;
    this.reading = { view, first, engine, sentences: new this.Sentences(), waiting: new Set(), text: "", heard: 0, since: 0 };
    this.show();
    this.feed();
    return undefined;
  }

  /** @param {MessageView} view @param {boolean} first */
  async load(view, first) {
    this.awaited = view;
    try {
      this.language = await import("antiphon/voice/language");
      this.Sentences = (await import("antiphon/voice/markdown-to-speech")).Sentences;
      if (this.usesServer) this.server ??= new (await import("antiphon/voice/server-voice")).ServerVoice(this.conversation.socket);
    } catch {
      if (!first) showNote(t("The server can’t be reached. Try again in a moment."));
    }
    if (this.Sentences && this.awaited === view) this.begin(view, first);
  }

  /** What is finished of the answer since the last time goes to the voice. */
  feed() {
    const { reading } = this;
    if (!reading) return;
    reading.text = reading.view.text;
    for (const sentence of reading.sentences.take(reading.text, !reading.view.active)) this.say(reading, sentence);
    this.finished(reading);
  }

  /** @param {Reading} reading @param {Sentence} sentence */
  say(reading, sentence) {
    const { chooseVoice, guessLanguage } = /** @type {typeof import("antiphon/voice/language")} */ (this.language);
    const language = guessLanguage(reading.text.slice(0, 600), document.documentElement.lang || navigator.language);
    const served = reading.engine === this.server;
    const voice = served ? null : chooseVoice(this.voices?.getVoices() ?? [], language, recall("voice.name"));
    const utterance = served ? /** @type {SpeechSynthesisUtterance} */ ({ text: sentence.text }) : new SpeechSynthesisUtterance(sentence.text);
    utterance.lang = voice?.lang.replace("_", "-") ?? language;
    utterance.voice = voice;
    utterance.rate = Number(recall("voice.speed")) || 1;
    reading.waiting.add(utterance);
    const reached = (/** @type {number} */ place) => (reading.heard = Math.max(reading.heard, place));
    utterance.onstart = () => {
      clearTimeout(this.silence);
      reading.since = reading.since || performance.now();
      this.recent = [...this.recent.slice(1 - RECENT_SENTENCES), { text: sentence.text, at: performance.now() }];
    };
    // The word that begins is not heard yet. Voices without such events count by whole sentences.
    utterance.onboundary = (event) => reached(sentence.marks[event.charIndex] ?? 0);
    utterance.onend = () => {
      reached(sentence.end);
      reading.waiting.delete(utterance);
      this.finished(reading);
    };
    utterance.onerror = (event) => {
      if (this.reading === reading && event.error !== "interrupted" && event.error !== "canceled") {
        showNote(/** @type {any} */ (event).message || TROUBLE[event.error] || t("Reading aloud failed ({error}).", { error: event.error }));
        this.stop();
      }
    };
    if (reading.waiting.size === 1 && !served) this.silence = setTimeout(() => this.reading === reading && this.giveUp(), SILENT_MS);
    reading.engine.speak(utterance);
  }

  /** @param {Reading} reading */
  finished(reading) {
    if (this.reading === reading && !reading.waiting.size && !reading.view.active) this.stop();
  }

  giveUp() {
    showNote(NO_VOICE);
    this.stop();
  }

  /** Stops reading at once. */
  stop() {
    const { reading } = this;
    clearTimeout(this.silence);
    this.asked = "";
    this.awaited = null;
    if (!reading) return;
    this.reading = null;
    this.quietAt = performance.now();
    reading.engine.cancel();
    this.show(reading.view);
  }

  /** Barge-in: stops reading. Of an answer read while it arrives, only the part that was heard is kept. */
  interrupt() {
    const { reading } = this;
    if (!reading) return;
    this.stop();
    this.conversation.announcer.say(t("Listening; reading stopped."));
    if (!reading.first || !reading.view.runId) return;
    this.conversation.socket
      .request({ type: "audio.interrupt", run_id: reading.view.runId, heard_chars: reading.heard })
      .catch((error) => showNote(error.message));
  }

  // --- for those who listen -----------------------------------------------------------------------------------------

  /** What may be in the air: the sentences said of late. */
  get said() {
    if (!this.reading && performance.now() - this.quietAt > RECENT_MS) return "";
    return this.recent.map((one) => one.text).join(" ");
  }

  /** @param {MessageView} [last] that was read until now */
  show(last) {
    const view = this.reading?.view;
    this.line.hidden = !view;
    for (const [one, pressed] of [[last, false], [view, true]]) {
      const button = /** @type {MessageView | undefined} */ (one)?.element.querySelector("[data-action=speak]");
      button?.setAttribute("aria-pressed", String(pressed));
    }
  }
}

/** Where the browser has no voice there are no buttons. @param {import("antiphon/conversation/conversation").Conversation} conversation */
export function startSpeechPlayback(conversation) {
  const served = "served" in /** @type {HTMLElement} */ (document.getElementById("aloud")).dataset;
  if (!served && (!("speechSynthesis" in window) || !("SpeechSynthesisUtterance" in window))) return null;
  const playback = new SpeechPlayback(conversation);
  conversation.onEvent = (/** @type {Frame} */ event) => playback.onEvent(event);
  conversation.onAsked = (/** @type {Frame} */ frame) => playback.onAccepted(frame);
  conversation.onChosen = (/** @type {MessageView} */ view) => playback.onChosen(view);
  conversation.onRead = (/** @type {MessageView} */ view) => playback.readFrom(view);
  return playback;
}
