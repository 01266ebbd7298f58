/** Speaking: the button, the words as they form, and what becomes of them (docs/voice.md). */

import { makeId } from "antiphon/wire/protocol";
import { dropNote, showNote } from "antiphon/conversation/status";
import { recall, remember } from "antiphon/lib/storage";
import { TalkOver } from "antiphon/voice/talk-over";
import { Recorder } from "antiphon/voice/voice-recorder";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const FRAME_MS = 100;
const NEAR_MS = 30_000;
const ASKING_MS = 700;
const WAITING_FRAMES = 20; // 2 s; beyond, the oldest go
const BUFFERED_BYTES = 64 * 1024;
const CONNECT_MS = 3_000;
const LOST = "The connection was lost while you spoke. What was heard until then is kept.";
const NOT_CONNECTED = "There is no connection right now. You can type; it is kept.";

const WARNINGS = /** @type {Record<string, (ms: number) => string>} */ ({
  audio_dropped: (ms) => `Speech recognition was too slow: ${seconds(ms)} of what you said was lost.`,
  audio_gap: (ms) => `The connection was too slow: ${seconds(ms)} of what you said was lost.`,
  falling_behind: () => "Speech recognition is behind. It catches up when you pause.",
});
const ENDINGS = /** @type {Record<string, string>} */ ({
  limit: "That was as long as one recording may be. Start another to go on.",
  idle: "No sound came from the microphone any more, so the recording was ended.",
  worker_stopped: "The server restarts. What was heard is kept; start again in a moment.",
});

export class Voice {
  /**
   * @param {import("antiphon/conversation/conversation").Conversation} conversation
   * @param {HTMLButtonElement} button
   * @param {import("antiphon/voice/speech-playback").SpeechPlayback | null} aloud reads answers, where the browser can
   */
  constructor(conversation, button, aloud) {
    this.conversation = conversation;
    this.aloud = aloud;
    this.talkOver = aloud && new TalkOver(aloud);
    this.button = button;
    this.panel = element("voice");
    this.stable = element("heard-stable");
    this.rest = element("heard-rest");
    this.state = element("voice-state");
    this.level = element("voice-level");
    this.time = element("voice-time");
    this.kept = element("voice-kept");
    this.limitMs = Infinity;
    this.send = /** @type {HTMLInputElement} */ (element("voice-send"));
    this.send.checked = recall("voice.send") === "on";
    this.send.addEventListener("change", () => remember("voice.send", this.send.checked ? "on" : null));
    /** @type {"off" | "starting" | "listening" | "finishing"} */
    this.phase = "off";
    this.recorder = /** @type {Recorder | null} */ (null);
    this.id = "";
    this.stream = 0;
    this.number = 0;
    /** @type {ArrayBuffer[]} */
    this.waiting = [];
    this.wire = /** @type {WebSocket | null} */ (null);
    this.held = false;
    this.sends = false; // of this recording: what is heard is sent by itself
    this.here = false;
    /** @type {string[]} finals that this page sends, as soon as no answer is being written */
    this.said = [];
    conversation.onChanged = () => this.sendSaid();
    button.addEventListener("click", () => (this.phase === "off" ? this.start("auto") : this.finish()));
    element("voice-cancel").addEventListener("click", () => this.cancel());
    document.addEventListener("keydown", (event) => this.onKey(event, true), true);
    document.addEventListener("keyup", (event) => this.onKey(event, false), true);
    addEventListener("blur", () => this.held && this.release());
    addEventListener("pagehide", () => this.cancel());
  }

  /** Alt + V, held, is push-to-talk; Escape throws the recording away. @param {KeyboardEvent} event @param {boolean} down */
  onKey(event, down) {
    if (event.code === "KeyV" && event.altKey && !event.ctrlKey && !event.metaKey && down) {
      event.preventDefault();
      if (!event.repeat && this.phase === "off") {
        this.held = true;
        this.start("push_to_talk");
      }
    } else if (!down && this.held && (event.code === "KeyV" || event.key === "Alt")) {
      event.preventDefault();
      this.release();
    } else if (down && event.key === "Escape" && (this.phase === "listening" || this.phase === "starting")) {
      event.preventDefault();
      event.stopPropagation();
      this.cancel();
    }
  }

  release() {
    this.held = false;
    this.finish();
  }

  /** @param {"auto" | "push_to_talk"} mode */
  async start(mode) {
    const { socket, page } = this.conversation;
    this.waiting = [];
    this.number = 0;
    this.id = "";
    this.here = Boolean(this.aloud?.on); // the page sends, for only it knows what is the loudspeaker's
    // The server would begin an ordinary conversation: a temporary one begins with a message sent from here.
    this.sends = this.send.checked && (this.here || !this.conversation.temporary.begins);
    this.enter("starting", "Starting…");
    dropNote(); // of an earlier try
    if (!(await this.connected())) {
      await this.end();
      return void showNote(NOT_CONNECTED);
    }
    this.wire = socket.socket;
    this.recorder = new Recorder(
      this.button.dataset.worklet ?? "",
      (pcm, level) => this.onAudio(pcm, level),
      (sentence) => this.fail(sentence),
    );
    const asking = setTimeout(() => {
      if (this.phase === "starting") this.state.textContent = "Waiting for the microphone. Your browser may be asking you.";
    }, ASKING_MS);
    try {
      await this.recorder.start();
      clearTimeout(asking);
      if (this.phase !== "starting") return void this.recorder?.stop();
      const started = await socket.request({
        type: "audio.start", conversation_id: page.conversation_id, client_id: makeId(), encoding: "pcm_s16le",
        sample_rate: 16000, mode, auto_send: this.sends && !this.here,
      });
      this.id = this.panel.dataset.recording = started.recording_id;
      this.stream = started.stream;
      this.limitMs = started.limits?.max_recording_ms ?? Infinity;
      const days = started.limits?.kept_days;
      this.kept.textContent = days ? `Kept as audio for ${days} ${days === 1 ? "day" : "days"}` : "";
      if (this.phase === "starting") this.enter("listening", "Listening…");
      this.pass();
      if (/** @type {string} */ (this.phase) === "finishing") this.close("audio.stop");
      else if (/** @type {string} */ (this.phase) === "off") this.close("audio.cancel");
    } catch (error) {
      clearTimeout(asking);
      await this.end();
      showNote(/** @type {Error} */ (error).message);
    }
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
    this.level.style.setProperty("--level", String(Math.min(1, level * 6)));
    this.waiting.push(pcm);
    this.pass();
  }

  /** Sends what waits, as far as the connection takes it. A gap in the numbers tells the server what is missing. */
  pass() {
    if (this.conversation.socket.socket !== this.wire || !this.wire) {
      if (this.phase !== "off") this.fail(LOST);
      return;
    }
    while (this.id && this.waiting.length && this.wire.bufferedAmount < BUFFERED_BYTES) {
      const pcm = /** @type {ArrayBuffer} */ (this.waiting.shift());
      const frame = new Uint8Array(8 + pcm.byteLength);
      const header = new DataView(frame.buffer);
      header.setUint8(0, 1);
      header.setUint16(2, this.stream);
      header.setUint32(4, this.number++);
      frame.set(new Uint8Array(pcm), 8);
      this.wire.send(frame);
    }
    while (this.waiting.length > WAITING_FRAMES) {
      this.waiting.shift();
      this.number += 1;
    }
    this.showTime();
  }

  /** How long it has been; towards the end, how much is left: of the recording, or of the quota it may use up. */
  showTime() {
    const spoken = this.number * FRAME_MS;
    const left = Math.max(0, this.limitMs - spoken);
    const near = left <= NEAR_MS;
    if (near && !this.time.classList.contains("is-near")) this.conversation.announcer.say(`${clock(left)} left to speak.`);
    this.time.classList.toggle("is-near", near);
    const words = near ? `${clock(left)} left` : clock(spoken);
    if (this.time.textContent !== words) this.time.textContent = words;
  }

  /** The person is done: the rest is still heard. */
  async finish() {
    if (this.phase !== "listening" && this.phase !== "starting") return;
    this.enter("finishing", "One moment…");
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

  /** @param {string} sentence */
  async fail(sentence) {
    const { id } = this;
    await this.end();
    showNote(sentence);
    if (id && this.conversation.socket.ready) this.close("audio.stop", id);
  }

  /** @param {string} type @param {string} [id] */
  close(type, id = this.id) {
    // A recording that is over already is an error here, and no news.
    this.conversation.socket.request({ type, recording_id: id }).catch(() => {});
  }

  /** @param {Frame} frame */
  onFrame(frame) {
    if (!this.id || frame.recording_id !== this.id) {
      if (frame.type === "error" && !frame.ref && frame.code === "asr_unavailable" && this.phase !== "off") this.fail(frame.message);
      return;
    }
    if (frame.type === "transcript.partial") this.hear(frame.text, frame.stable_chars);
    else if (frame.type === "transcript.final") this.take(frame.text);
    else if (frame.type === "speech.started") {
      this.state.textContent = "Hearing you…";
      this.talkOver?.onSpeech(this.number * FRAME_MS - frame.at_ms);
    } else if (frame.type === "speech.stopped") {
      this.state.textContent = "Listening…";
      this.talkOver?.onQuiet();
    }
    else if (frame.type === "audio.warning" && WARNINGS[frame.code]) showNote(WARNINGS[frame.code](frame.ms));
    else if (frame.type === "audio.unsent") this.giveBack(frame);
    else if (frame.type === "message.accepted") this.conversation.accepted(frame, { type: "message.send" });
    else if (frame.type === "audio.closed") {
      const said = frame.message ?? ENDINGS[frame.reason];
      if (said) showNote(said);
      this.end();
    }
  }

  /** @param {string} text @param {number} stable how many characters will stay */
  hear(text, stable) {
    if (this.talkOver?.onWords(text) ?? true) this.show(text, stable);
  }

  /** @param {string} text @param {number} stable */
  show(text, stable) {
    const points = [...text];
    this.stable.textContent = points.slice(0, stable).join("");
    this.rest.textContent = points.slice(stable).join("");
  }

  /** A final: into the field, unless it is sent by itself. Our own voice is nobody's words. @param {string} text */
  take(text) {
    this.show("", 0);
    if (!text || this.talkOver?.onWords(text) === false) return;
    if (!this.sends) this.write(text);
    else if (this.here) {
      this.said.push(text);
      this.sendSaid();
    }
  }

  /** What was said while an answer was being written goes as one message. */
  sendSaid() {
    if (!this.said.length || this.conversation.transcript.busy) return;
    this.conversation.send(this.said.splice(0).join(" "));
  }

  /** @param {Frame} frame what could not be sent */
  giveBack(frame) {
    this.write(frame.text);
    showNote(frame.message);
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
    this.show("", 0);
    this.id = "";
    this.waiting = [];
    const { recorder } = this;
    this.recorder = null;
    await recorder?.stop();
  }

  /** @param {"off" | "starting" | "listening" | "finishing"} phase @param {string} words */
  enter(phase, words) {
    this.phase = phase;
    const on = phase !== "off";
    this.panel.hidden = !on;
    this.panel.dataset.phase = phase;
    this.state.textContent = words;
    this.button.setAttribute("aria-pressed", String(on));
    this.button.setAttribute("aria-label", on ? "Stop speaking" : "Speak");
    this.button.title = on ? "Stop speaking" : "Speak (hold Alt + V)";
    this.level.style.setProperty("--level", "0");
    if (phase === "starting") {
      this.limitMs = Infinity;
      this.kept.textContent = "";
      this.time.classList.remove("is-near");
      this.time.textContent = "";
    }
  }
}

/**
 * Where the server hears nobody there is no button.
 * @param {import("antiphon/conversation/conversation").Conversation} conversation @param {import("antiphon/voice/speech-playback").SpeechPlayback | null} aloud
 */
export function startVoice(conversation, aloud) {
  const button = document.getElementById("mic");
  if (!button) return;
  const voice = new Voice(conversation, /** @type {HTMLButtonElement} */ (button), aloud);
  conversation.onVoice = (/** @type {Frame} */ frame) => voice.onFrame(frame);
}

/** @param {number} ms @returns {string} minutes and seconds */
function clock(ms) {
  const all = Math.floor(ms / 1000);
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}

/** @param {number} ms */
function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** @param {string} id */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
