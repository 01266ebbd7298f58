/**
 * Decides when somebody talks over an answer that is read aloud: after half a second of speech, or at the first word,
 * and not at the first noise. The microphone hears the loudspeaker too. The browser cancels its echo as far as it can;
 * beyond that, words that are being read are nobody's, and once some were heard, only other words count as speech.
 */

import { isEcho } from "antiphon/voice/echo-detection";

const SPEECH_MS = 500;
const OWN_MS = 700; // speech that begins this soon after reading did is the loudspeaker, until words say otherwise

export class TalkOver {
  /** @param {import("antiphon/voice/speech-playback").SpeechPlayback} aloud */
  constructor(aloud) {
    this.aloud = aloud;
    this.echoes = false; // the microphone has heard us
    this.timer = 0;
  }

  /** Speech began. @param {number} elapsed milliseconds ago */
  onSpeech(elapsed) {
    clearTimeout(this.timer);
    const { reading } = this.aloud;
    if (!reading || this.echoes || !reading.since || performance.now() - elapsed - reading.since < OWN_MS) return;
    this.timer = setTimeout(() => this.aloud.reading === reading && this.aloud.interrupt(), Math.max(0, SPEECH_MS - elapsed));
  }

  onQuiet() {
    clearTimeout(this.timer);
  }

  /** @param {string} text what was understood so far @returns {boolean} whether it is somebody's, and not our own voice */
  onWords(text) {
    if (this.aloud.said && isEcho(text, this.aloud.said)) {
      this.echoes = true;
      clearTimeout(this.timer);
      return false;
    }
    if (text.trim() && this.aloud.reading) {
      clearTimeout(this.timer);
      this.aloud.interrupt();
    }
    return true;
  }
}
