/**
 * A call: one speaks with the model hands free, over the whole screen. It is dictation and reading aloud together: this
 * adds whose turn it is, captions, and the sheet (docs/voice.md).
 */

import { LOCALE, t } from "antiphon/lib/texts";
import { CallEvents } from "antiphon/voice/call-events";
import { CallTurns } from "antiphon/voice/call-turns";
import { clock } from "antiphon/voice/messages";
import { pauseAfter } from "antiphon/voice/turn-taking";

/** @typedef {"starting" | "reconnecting" | "listening" | "hearing" | "thinking" | "speaking" | "muted"} State */

const LOOK_MS = 120;
const AGAIN = ["connection", "worker", "worker_stopped", "worker_lost"]; // what a call survives: the recording begins again
const TRIES = 8;
const NOISE_MS = 1_800; // within which the words come of what was found to be speech
const TRY_MS = 500; // before the first one; so much longer before each further one
const STATES = /** @type {Record<State, string>} */ ({
  starting: t("Starting…"),
  reconnecting: t("Reconnecting…"),
  listening: t("Listening…"),
  hearing: t("Speech detected…"),
  thinking: t("Thinking…"),
  speaking: t("Speaking. Talk to interrupt."),
  muted: t("Your microphone is muted."),
});
const FIRST = t("Say something. The answer is read to you.");

export class Call {
  /** @param {import("antiphon/voice/voice").Voice} voice */
  constructor(voice) {
    this.voice = voice;
    this.playback = /** @type {import("antiphon/voice/speech-playback").SpeechPlayback} */ (voice.playback);
    this.turns = new CallTurns(this.playback);
    this.muted = false;
    this.speech = false; // somebody speaks
    this.over = false; // it ended by itself, and says why
    this.before = { on: this.playback.on, talkOver: voice.talkOver };
    this.began = performance.now();
    this.waiting = 0;
    this.tries = -1; // since it was last heard; none before it began
    this.retry = 0; // the timer of the next one
    this.element = this.build();
    this.notes = /** @type {HTMLElement} */ (document.getElementById("toasts"));
    this.place = document.createComment("notes"); // where they are without a call
    this.look = this.look.bind(this);
  }

  build() {
    const { icons } = this.voice.conversation.page.urls;
    const sign = (/** @type {string} */ name) => `<svg class="icon" aria-hidden="true"><use href="${icons}#${name}"></use></svg>`;
    const element = document.createElement("dialog");
    element.id = "call-sheet";
    element.className = "call";
    element.setAttribute("aria-labelledby", "call-title");
    element.innerHTML = `
      <header><h2 id="call-title">${t("Call")}</h2><span class="call-language"></span><span class="call-time"></span></header>
      <div class="call-middle">
        <div class="call-orb" aria-hidden="true"><i></i></div>
        <p class="call-state" role="status"></p>
        <p class="call-trouble" role="alert" hidden></p>
      </div>
      <div class="call-captions" tabindex="0" role="group" aria-label="${t("Captions")}"><p class="call-other" dir="auto" hidden></p><p class="call-mine" dir="auto" hidden></p><p class="call-theirs" dir="auto"></p></div>
      <footer>
        <button class="call-button" type="button" data-call="mute" aria-pressed="false"><span>${sign("mic")}</span>${t("Mute")}</button>
        <button class="call-button call-end" type="button" data-call="end"><span>${sign("close")}</span>${t("End call")}</button>
      </footer>`;
    element.addEventListener("cancel", (event) => {
      event.preventDefault();
      void this.end();
    });
    element.addEventListener("close", () => this.end());
    this.part(element, "[data-call=end]").addEventListener("click", () => this.end());
    this.part(element, "[data-call=mute]").addEventListener("click", () => this.mute(!this.muted));
    return element;
  }

  /** @param {HTMLElement} root @param {string} selector */
  part(root, selector) {
    return /** @type {HTMLElement} */ (root.querySelector(selector));
  }

  /** @param {string} styles the addresses of its style sheets */
  async open(styles) {
    await loadStyles(styles);
    document.body.append(this.element);
    this.notes.after(this.place);
    this.part(this.element, ".call-captions").before(this.notes); // below a modal dialog nobody sees them
    this.element.showModal();
    this.voice.call = this;
    this.events = new CallEvents(this);
    this.voice.talkOver = this.turns;
    if (!this.before.on) this.playback.toggle.setAttribute("aria-pressed", "true"); // for the call, not kept
    this.part(this.element, ".call-theirs").textContent = FIRST;
    this.timer = setInterval(this.look, LOOK_MS);
    this.look();
    await this.voice.start("auto");
    this.look();
  }

  /** @returns {State} */
  get state() {
    if (this.retry || (this.tries > 0 && this.voice.phase !== "listening")) return "reconnecting";
    if (this.voice.phase === "starting" || this.tries < 0) return "starting";
    if (this.playback.reading?.since && this.playback.reading.waiting.size && !this.turns.waiting) return "speaking";
    if (this.speech && !this.muted) return "hearing";
    if (this.voice.conversation.transcript.busy || this.playback.asked || this.playback.reading) return "thinking";
    return this.muted ? "muted" : "listening";
  }

  look() {
    if (this.over) return;
    const { state } = this;
    const line = this.part(this.element, ".call-state");
    if (this.element.dataset.state !== state) {
      this.element.dataset.state = state;
      line.textContent = STATES[state];
    }
    const time = this.part(this.element, ".call-time");
    const words = clock(performance.now() - this.began);
    if (time.textContent !== words) time.textContent = words;
    const said = this.playback.reading?.since ? this.playback.recent.at(-1)?.text : "";
    const theirs = this.part(this.element, ".call-theirs");
    if (said && theirs.textContent !== said) theirs.textContent = said;
  }

  /** The recording has begun. @param {string} language that is understood */
  begun(language) {
    this.tries = Math.max(this.tries, 0);
    this.trouble("");
    const names = new Intl.DisplayNames(LOCALE, { type: "language" });
    this.part(this.element, ".call-language").textContent = language ? (names.of(language) ?? "") : "";
  }

  // --- from the microphone ------------------------------------------------------------------------------------------

  /** @param {ArrayBuffer} pcm @param {number} level @returns {ArrayBuffer} what is sent: silence while it is muted */
  onAudio(pcm, level) {
    this.element.style.setProperty("--level", String(this.muted ? 0 : Math.min(1, level * 6)));
    if (this.muted) return new ArrayBuffer(pcm.byteLength);
    this.turns.onAudio(pcm);
    return pcm;
  }

  /** @param {boolean} speech whether somebody speaks */
  onSpeech(speech) {
    this.speech = speech;
    if (speech) clearTimeout(this.waiting); // the sentence goes on
    else if (this.waiting) this.sendAfter(NOISE_MS); // unless it was a noise, of which no words come
    this.look();
  }

  /** A partial transcript of somebody's. @param {string} text */
  hear(text) {
    this.trouble("");
    this.tries = 0;
    const mine = this.part(this.element, ".call-mine");
    mine.textContent = [...this.voice.finals, text].join(" ");
    mine.hidden = !mine.textContent;
  }

  /** Somebody else in the conversation. @param {string} words */
  showOther(words) {
    const line = this.part(this.element, ".call-other");
    line.textContent = words;
    line.hidden = !words;
  }

  /** A final transcript: sent at once where it sounds finished, else after a pause. @param {string} text */
  take(text) {
    this.voice.finals.push(text);
    this.hear("");
    this.sendAfter(pauseAfter(text));
  }

  /** Sends what was said, unless somebody speaks before. @param {number} ms */
  sendAfter(ms) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.waiting = 0;
      this.voice.sendFinals();
    }, ms);
  }

  /** Whether what was said is to be sent now. */
  get isFinished() {
    return !this.waiting;
  }

  // --- its end ------------------------------------------------------------------------------------------------------

  /** @param {boolean} on */
  mute(on) {
    this.muted = on;
    this.part(this.element, "[data-call=mute]").setAttribute("aria-pressed", String(on));
    this.look();
  }

  /** @param {string} message */
  trouble(message) {
    const line = this.part(this.element, ".call-trouble");
    line.textContent = message;
    line.hidden = !message;
  }

  /**
   * The recording ended by itself. After its longest time another one begins, and where a connection or a worker was
   * lost. @param {string} reason @param {string} message
   */
  async ended(reason, message) {
    if (reason === "limit") return this.voice.start("auto");
    // A recogniser that refuses the very first recording is not asked again.
    if (AGAIN.includes(reason) && (reason === "connection" || this.tries >= 0) && this.tries < TRIES) {
      this.tries = Math.max(this.tries, 0) + 1;
      this.speech = false;
      this.retry = setTimeout(() => {
        this.retry = 0;
        if (this.voice.call === this) void this.voice.start("auto");
      }, TRY_MS * this.tries);
      return this.look();
    }
    this.trouble(message);
    this.part(this.element, "[data-call=mute]").hidden = true;
    /** @type {Text} */ (this.part(this.element, "[data-call=end]").lastChild).data = t("Close");
    const theirs = this.part(this.element, ".call-theirs");
    if (theirs.textContent === FIRST) theirs.textContent = "";
    this.over = true;
    clearInterval(this.timer);
    this.events?.close();
    this.playback.stop();
    this.element.dataset.state = "ended";
    this.part(this.element, ".call-state").textContent = t("The call has ended.");
    return undefined;
  }

  async end() {
    const { voice, playback } = this;
    if (voice.call !== this) return;
    voice.call = null;
    voice.talkOver = this.before.talkOver;
    clearInterval(this.timer);
    clearTimeout(this.waiting);
    clearTimeout(this.retry);
    this.events?.close();
    this.turns.settle();
    playback.stop();
    playback.toggle.setAttribute("aria-pressed", String(this.before.on));
    this.place.replaceWith(this.notes);
    this.element.close();
    this.element.remove();
    const left = voice.finals.splice(0).join(" ");
    await voice.finish();
    if (left) voice.write(left); // said, and not sent
    document.getElementById("call")?.focus();
  }
}

/** @param {string} urls */
function loadStyles(urls) {
  return Promise.all(urls.split(" ").map((href) => new Promise((resolve) => {
    if (document.querySelector(`link[href="${CSS.escape(href)}"]`)) return resolve(null);
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
    for (const kind of ["load", "error"]) link.addEventListener(kind, resolve);
    return document.head.append(link);
  })));
}
