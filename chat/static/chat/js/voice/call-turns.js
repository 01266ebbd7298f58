/**
 * Barge-in of a call. Playback falls silent at the first sign of speech, and goes on where it was if it was none: an
 * echo (by its loudness, where the server's voice is played; by its words), a noise, or what people say while listening.
 */

import { isEcho } from "antiphon/voice/echo-detection";
import { isEchoSignal, loudness } from "antiphon/voice/echo-signal";
import { mayInterrupt } from "antiphon/voice/talk-over";
import { isBackChannel } from "antiphon/voice/turn-taking";

/** @typedef {import("antiphon/voice/echo-signal").Loudness} Loudness */

const LOUD = 0.02; // at least, for speech
const ABOVE_NOISE = 4; // times the room's loudness
const LOUD_STEPS = 3; // of 20 ms, of the last 100 ms
const NOISE_MS = 700; // a sound in which no speech was found by then
const WORDLESS_MS = 1_800; // speech of which no word came by then
const QUIET_MS = 900; // after the end of speech: its words are on their way
const KEPT_MS = 1_000;

export class CallTurns {
  /** @param {import("antiphon/voice/speech-playback").SpeechPlayback} playback */
  constructor(playback) {
    this.playback = playback;
    /** @type {Loudness[]} */
    this.heard = [];
    this.floor = LOUD / ABOVE_NOISE; // the room's loudness
    this.timer = 0;
    this.waiting = false; // silent, until it shows whether somebody speaks
  }

  /** What is played by the server's voice of late; nothing of the browser's can be known. */
  get played() {
    return this.playback.server?.played ?? [];
  }

  get isEcho() {
    return isEchoSignal(this.heard, this.played);
  }

  /** 100 ms of the microphone. @param {ArrayBuffer} data PCM16, 16 kHz */
  onAudio(data) {
    const pcm = new Int16Array(data);
    const now = performance.now();
    const fresh = loudness(pcm, 16_000, now - (pcm.length / 16_000) * 1_000);
    this.heard = [...this.heard.filter((one) => one.at > now - KEPT_MS), ...fresh];
    const threshold = Math.max(LOUD, this.floor * ABOVE_NOISE);
    const loud = fresh.filter((one) => one.level > threshold).length >= LOUD_STEPS;
    if (!loud) for (const one of fresh) this.floor += (one.level - this.floor) * 0.02;
    // Without the reference of the server's voice, a loud sound may be our own: there, only speech counts.
    if (loud && this.playback.server?.speaking && !this.waiting && !this.isEcho) this.hush(NOISE_MS);
  }

  /** Speech began. @param {number} _elapsed milliseconds ago */
  onSpeech(_elapsed) {
    if (!this.playback.reading?.since) return;
    if (this.played.length && this.isEcho) return;
    this.hush(WORDLESS_MS);
  }

  onQuiet() {
    if (this.waiting) this.hush(QUIET_MS);
  }

  /** @param {string} text what was understood so far @returns {boolean} whether somebody wants to speak */
  onWords(text) {
    const { playback } = this;
    if (playback.said && isEcho(text, playback.said)) return this.goOn();
    if (playback.reading && isBackChannel(text)) return this.goOn();
    if (text.trim() && playback.reading && mayInterrupt()) {
      this.settle();
      playback.interrupt();
    }
    return true;
  }

  /** Falls silent until it is known what it was, for so long at the most. @param {number} ms */
  hush(ms) {
    const { reading } = this.playback;
    clearTimeout(this.timer);
    if (!reading || !mayInterrupt()) return void (this.waiting = false);
    this.waiting = true;
    reading.engine.pause();
    this.timer = setTimeout(() => this.goOn(), ms);
  }

  /** It was nothing. */
  goOn() {
    this.settle();
    this.playback.reading?.engine.resume();
    return false;
  }

  settle() {
    clearTimeout(this.timer);
    this.waiting = false;
  }
}
