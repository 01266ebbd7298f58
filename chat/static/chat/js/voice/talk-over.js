/**
 * Detects barge-in on an answer that is read aloud: after half a second of speech or at the first word, and not at the
 * first noise. The microphone hears the loudspeaker too. The browser cancels most of that echo; beyond that, words that
 * are being read do not count, and once the microphone has picked some up, only other words count as speech.
 */

import { isEcho } from "antiphon/voice/echo-detection";
import { recall } from "antiphon/lib/storage";

const SPEECH_MS = 500;
const OWN_MS = 700; // speech that begins this soon after reading did is the loudspeaker, until words say otherwise

/** Whether speaking interrupts an answer that is read: a setting of this browser's. */
export const mayInterrupt = () => recall("voice.interrupt") !== "off";

export class TalkOver {
  /** @param {import("antiphon/voice/speech-playback").SpeechPlayback} playback */
  constructor(playback) {
    this.playback = playback;
    this.echoes = false; // the microphone has heard us
    this.timer = 0;
  }

  /** Speech began. @param {number} elapsed milliseconds ago */
  onSpeech(elapsed) {
    clearTimeout(this.timer);
    const { reading } = this.playback;
    if (!reading || !mayInterrupt() || this.echoes || !reading.since || performance.now() - elapsed - reading.since < OWN_MS) return;
    this.timer = setTimeout(() => this.playback.reading === reading && this.playback.interrupt(), Math.max(0, SPEECH_MS - elapsed));
  }

  onQuiet() {
    clearTimeout(this.timer);
  }

  /** @param {string} text what was understood so far @returns {boolean} whether it is somebody's, and not our own voice */
  onWords(text) {
    if (this.playback.said && isEcho(text, this.playback.said)) {
      this.echoes = true;
      clearTimeout(this.timer);
      return false;
    }
    if (text.trim() && this.playback.reading && mayInterrupt()) {
      clearTimeout(this.timer);
      this.playback.interrupt();
    }
    return true;
  }
}
