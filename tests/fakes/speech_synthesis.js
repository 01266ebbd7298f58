// A voice at the browser's edge, where a headless browser has none: utterance after utterance at a known rate, with the
// events that the Web Speech API names. `said` has each word with the time at which it began.
{
  const PER_CHARACTER_MS = 55;
  const LEAD_MS = 30;
  const said = (window.said = []);
  class Utterance extends EventTarget {
    constructor(text) {
      super();
      Object.assign(this, { text, lang: "", voice: null, rate: 1, onstart: null, onboundary: null, onend: null, onerror: null });
    }
    tell(type, fields = {}) {
      this[`on${type}`]?.({ type, utterance: this, ...fields });
    }
  }
  const voices = [
    { name: "Anna", lang: "de-DE", localService: true, default: false },
    { name: "Far Away", lang: "en-US", localService: false, default: true },
    { name: "Ruth", lang: "en-GB", localService: true, default: false },
  ];
  class Voice extends EventTarget {
    queue = [];
    timers = [];
    get speaking() {
      return this.queue.length > 0;
    }
    getVoices() {
      return window.voiceless ? [] : voices;
    }
    speak(utterance) {
      this.queue.push(utterance);
      if (this.queue.length === 1) this.next();
    }
    cancel() {
      this.timers.splice(0).forEach(clearTimeout);
      for (const one of this.queue.splice(0)) one.tell("error", { error: "interrupted" });
    }
    next() {
      const utterance = this.queue[0];
      if (!utterance) return;
      const later = (ms, act) => this.timers.push(setTimeout(act, ms));
      if (window.voiceFails) return later(LEAD_MS, () => utterance.tell("error", { error: window.voiceFails }));
      later(LEAD_MS, () => utterance.tell("start"));
      for (const word of utterance.text.matchAll(/\S+/g)) {
        later(LEAD_MS + word.index * PER_CHARACTER_MS, () => {
          said.push({ word: word[0], at: performance.now(), voice: utterance.voice?.name, lang: utterance.lang });
          if (!window.voiceWithoutBoundaries) utterance.tell("boundary", { name: "word", charIndex: word.index, charLength: word[0].length });
        });
      }
      later(LEAD_MS + utterance.text.length * PER_CHARACTER_MS, () => {
        this.queue.shift();
        utterance.tell("end");
        this.next();
      });
    }
  }
  Object.defineProperty(window, "speechSynthesis", { value: new Voice() });
  window.SpeechSynthesisUtterance = Utterance;
}
