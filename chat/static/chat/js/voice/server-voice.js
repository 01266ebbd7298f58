/**
 * A voice of the server with the interface of the browser's speech synthesis, as far as reading aloud uses it: sentences
 * go over the socket, their audio comes back in binary frames and is played in one stream (docs/protocol.md). What was
 * played is known to the millisecond, which a barge-in and the echo detection rely on. A lost connection ends the server's
 * part of it: what came is played on, and the rest is asked for on the next connection, from the first sample that is
 * missing.
 */

import { t } from "antiphon/lib/texts";
import { loudness } from "antiphon/voice/echo-signal";
import { recall } from "antiphon/lib/storage";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const HEADER_BYTES = 8;
const RATE = 24_000;
const KIND = 2;
const LEAD_S = 0.06; // of audio that waits, so that a late frame makes no gap
const WAITING = 3; // sentences that are asked for beyond the one that is played
const REPORT_MS = 1_000;
const ALLOWED_MS = 1_500; // after that the browser does not let it sound
const STEP_MS = 40; // between two looks at how far it is
const KEPT_S = 4; // of what was played, for the echo detection
const LENGTH_MS = 65; // of a character, while a sentence's length is unknown

/**
 * @typedef {object} Spoken what reading aloud gives: the browser's SpeechSynthesisUtterance has the same names
 * @property {string} text
 * @property {string} lang
 * @property {(() => void) | null} onstart
 * @property {((event: {charIndex: number}) => void) | null} onboundary
 * @property {(() => void) | null} onend
 * @property {((event: {error: string, message?: string}) => void) | null} onerror
 */

/**
 * @typedef {object} Line a sentence
 * @property {Spoken} spoken
 * @property {number} number
 * @property {number} begins when it is played, by the context's clock; -1 before
 * @property {number} samples that came of it, and are played
 * @property {boolean} whole all of them came
 * @property {boolean} begun
 * @property {boolean} asked of the server, on this connection
 */

export class ServerVoice {
  /** @param {import("antiphon/wire/socket").Socket} socket */
  constructor(socket) {
    this.socket = socket;
    this.message = ""; // the answer that is read
    /** @type {Line[]} sentences that are not played to their end */
    this.lines = [];
    this.numbers = 0;
    this.id = "";
    this.stream = -1;
    this.starting = false; // until the server has begun a speech
    this.turn = 0; // counts what was cancelled, and lost with its connection
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {Set<AudioBufferSourceNode>} */
    this.sources = new Set();
    this.paused = false; // by us
    this.madeAt = 0;
    this.trouble = "";
    this.next = 0; // when the next frame is played, by the context's clock
    this.first = 0; // the number of the sentence with which the server began: it counts from there
    this.receiving = 0; // the number of the sentence whose frames come ...
    this.position = 0; // ... and how many of its samples came on this connection
    this.leads = true; // before the first frame
    this.reported = 0;
    this.timer = 0;
    /** @type {import("antiphon/voice/echo-signal").Loudness[]} what was played of late: loudness by performance.now() */
    this.played = [];
    socket.onBytes = (data) => this.onBytes(data);
    socket.on("tts.closed", (frame) => this.onClosed(frame));
    socket.on("error", (frame) => this.onError(frame));
    socket.on("closed", (frame) => this.onLost(frame.next));
  }

  get speaking() {
    return this.lines.length > 0;
  }

  /** Makes the sounds possible: browsers want a click or a key before. */
  unlock() {
    if (!this.context) {
      this.context = new AudioContext();
      this.madeAt = performance.now();
    }
    if (this.context.state === "suspended" && !this.paused) void this.context.resume().catch(() => {});
    return this.context;
  }

  /** @param {Spoken} spoken */
  speak(spoken) {
    this.unlock();
    this.lines.push({ spoken, number: this.numbers++, begins: -1, samples: 0, whole: false, begun: false, asked: false });
    if (this.id) this.ask();
    else void this.begin();
    if (!this.timer) this.timer = setInterval(() => this.look(), STEP_MS);
  }

  /** Has the server speak from the first sentence on that is not here. Without a connection, on the next one. */
  async begin() {
    if (this.starting) return;
    this.starting = true;
    const turn = this.turn;
    const speed = Number(recall("voice.speed")) || 1;
    const voice = recall("voice.server") || undefined; // empty where the browser has no voice of its own
    try {
      const started = await this.socket.request({
        type: "tts.start", message_id: this.message, voice, speed, language: this.lines[0]?.spoken.lang || undefined,
      });
      if (turn !== this.turn) return void this.socket.request({ type: "tts.stop", speech_id: started.speech_id }).catch(() => {});
      this.starting = false;
      this.id = started.speech_id;
      this.stream = started.stream;
      this.first = this.receiving = this.lines.find((line) => !line.whole)?.number ?? this.numbers;
      this.position = 0;
      this.leads = true;
      this.reported = -Infinity; // the server is told at once what of it was heard
      this.ask();
    } catch (error) {
      if (turn === this.turn) this.fail("server", /** @type {Error} */ (error).message);
    }
  }

  /** Asks for the sentences that come next. */
  ask() {
    if (!this.id) return;
    for (const line of this.lines.slice(0, 1 + WAITING)) {
      if (line.asked) continue;
      line.asked = true;
      const turn = this.turn;
      this.socket
        .request({ type: "tts.say", speech_id: this.id, number: line.number - this.first, text: line.spoken.text })
        .catch((error) => turn === this.turn && this.fail("server", error.message));
    }
  }

  /** @param {ArrayBuffer} data */
  onBytes(data) {
    const header = new DataView(data);
    if (header.getUint8(0) !== KIND || header.getUint16(2) !== this.stream || !this.id) return;
    const line = this.lines.find((one) => one.number === this.receiving);
    if (data.byteLength > HEADER_BYTES && line) {
      const pcm = new Int16Array(data, HEADER_BYTES);
      const known = Math.max(0, line.samples - this.position); // came on the connection before
      this.position += pcm.length;
      if (known < pcm.length) this.play(line, pcm.subarray(known));
    }
    if (header.getUint8(1) & 1) {
      if (line) line.whole = true;
      this.receiving += 1;
      this.position = 0;
    }
  }

  /** @param {Line} line @param {Int16Array} pcm */
  play(line, pcm) {
    const context = this.unlock();
    const buffer = context.createBuffer(1, pcm.length, RATE);
    const samples = buffer.getChannelData(0);
    for (let i = 0; i < pcm.length; i += 1) samples[i] = pcm[i] / 32_768;
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    this.sources.add(source);
    source.onended = () => this.sources.delete(source);
    const at = Math.max(this.next, context.currentTime + (this.leads ? LEAD_S : 0.005));
    this.leads = false;
    if (line.begins < 0) line.begins = at;
    else line.begins += at - this.next; // it was silent, until its audio came
    source.start(at);
    this.next = at + buffer.duration;
    line.samples += pcm.length;
    const began = performance.now() + (at - context.currentTime) * 1_000;
    this.played.push(...loudness(pcm, RATE, began));
    while (this.played.length && this.played[0].at < performance.now() - KEPT_S * 1_000) this.played.shift();
  }

  /** How far it is: beginnings, words and ends of sentences, and what the server is told of them. */
  look() {
    const { context } = this;
    if (!context || this.paused) return;
    if (context.state === "suspended") {
      if (performance.now() - this.madeAt > ALLOWED_MS && this.lines[0]?.begins >= 0) this.fail("not-allowed", "");
      return;
    }
    const turn = this.turn;
    while (this.lines.length && turn === this.turn) {
      const line = this.lines[0];
      const came = (line.samples / RATE) * 1_000;
      const ms = line.begins < 0 ? -1 : Math.min(came, (context.currentTime - line.begins) * 1_000);
      if (ms < 0) break;
      if (!line.begun) {
        line.begun = true;
        line.spoken.onstart?.();
      }
      if (line.whole && ms >= came) {
        this.lines.shift();
        this.report(line, came);
        line.spoken.onend?.();
        this.ask();
        continue;
      }
      const length = line.whole ? came : Math.max(came, line.spoken.text.length * LENGTH_MS);
      line.spoken.onboundary?.({ charIndex: Math.min(line.spoken.text.length - 1, Math.floor((line.spoken.text.length * ms) / length)) });
      if (performance.now() - this.reported > REPORT_MS) this.report(line, ms);
      break;
    }
    if (!this.lines.length) this.rest();
  }

  /** @param {Line} line @param {number} ms */
  report(line, ms) {
    const number = line.number - this.first;
    if (!this.id || number < 0) return; // it came before this speech of the server's
    this.reported = performance.now();
    this.socket.send({ type: "tts.played", speech_id: this.id, number, ms: Math.round(ms) });
  }

  rest() {
    clearInterval(this.timer);
    this.timer = 0;
  }

  /** Falls silent at once; `resume` goes on where it was. */
  pause() {
    this.paused = true;
    void this.context?.suspend();
  }

  resume() {
    this.paused = false;
    if (this.context?.state === "suspended") void this.context.resume();
  }

  /** Stops, and gives up what waits. The server is told, unless it knows. @param {boolean} [told] */
  cancel(told = false) {
    const { id, lines } = this;
    this.turn += 1;
    this.lines = [];
    this.id = "";
    this.stream = -1;
    this.starting = false;
    this.numbers = this.first = this.receiving = this.position = this.next = 0;
    for (const source of this.sources) source.stop();
    this.sources.clear();
    this.rest();
    this.trouble = "";
    if (this.paused) this.resume(); // of what is played next; these sources are gone
    if (id && !told) this.socket.request({ type: "tts.stop", speech_id: id }).catch(() => {});
    for (const line of lines) line.spoken.onerror?.({ error: "canceled" });
  }

  /** The connection is lost. What is missing is asked for on the next one. @param {string} next what the socket does */
  onLost(next) {
    if (next !== "reconnect") return this.fail("network", "");
    this.id = "";
    this.stream = -1;
    if (this.starting) return undefined; // it is asked again by itself
    this.turn += 1; // what was asked for on this connection has no answer
    for (const line of this.lines) line.asked = line.whole;
    if (this.lines.some((line) => !line.whole)) void this.begin();
    return undefined;
  }

  /** @param {string} error @param {string} message */
  fail(error, message) {
    const line = this.lines[0];
    if (!line) return void (this.id = "");
    const { onerror } = line.spoken;
    this.cancel(true);
    onerror?.({ error, message });
  }

  /** @param {Frame} frame */
  onClosed(frame) {
    if (frame.speech_id !== this.id || !this.id) return;
    if (frame.reason === "interrupted" || frame.reason === "stopped") this.cancel(true);
    else this.fail("server", this.trouble || t("The server can’t read aloud right now. Use one of this browser’s voices, or try again in a moment."));
  }

  /** @param {Frame} frame an error without a command says why the speech will be closed */
  onError(frame) {
    if (!frame.ref && (frame.code === "speech_unavailable" || frame.code === "quota_exceeded" || frame.code === "moderated" || frame.code === "busy")) this.trouble = frame.message;
  }
}
