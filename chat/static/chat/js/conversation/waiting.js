/**
 * Shows how long an answer has been waited for, and for what, from `SHOWN_MS` on; with a button to stop it. Screen
 * readers are told now and then, not each second.
 */

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {"queue" | "model" | "loading" | "thinking" | "tool" | "more"} Kind */

const SHOWN_MS = 3_000;
const SAID_S = [10, 30, 60]; // then each minute

/** What is shown before the seconds. `MessageView.await` says which. @type {Record<Kind, string>} */
const WORDS = {
  queue: "Waiting for a free worker…",
  model: "Waiting for the model’s first words…",
  loading: "The model is being loaded…",
  thinking: "Thinking…",
  tool: "Waiting for a tool…",
  more: "Waiting for the model to go on…",
};

export class Waiting {
  /** @param {() => MessageView | undefined} running the answer in progress @param {(words: string) => void} say */
  constructor(running, say) {
    this.running = running;
    this.say = say;
    this.timer = 0;
    /** @type {MessageView | null} */
    this.shown = null; // the view that has seconds
    this.said = 0; // seconds that were announced last
  }

  /** Something has changed: counts while an answer is in progress. */
  look() {
    const view = this.running();
    if (view && !this.timer) this.timer = setInterval(() => this.tick(), 1_000);
    if (!view) {
      clearInterval(this.timer);
      this.timer = 0;
    }
    if (this.shown && (this.shown !== view || view.status !== "pending")) this.clear();
  }

  /** The time that is shown now: of the first words, or of a pause in the middle. */
  tick() {
    const view = this.running();
    if (!view) return this.look();
    if (view.thinking?.active) return this.clear(); // it shows its own seconds
    const pending = view.status === "pending";
    const waited = performance.now() - (pending ? view.waitingSince : view.heardAt);
    if (waited < SHOWN_MS) return this.shown ? this.clear() : undefined;
    const seconds = Math.floor(waited / 1000);
    const words = WORDS[pending ? view.awaited : "more"];
    if (this.shown !== view) this.said = 0;
    this.shown = view;
    view.element.classList.add("is-counted");
    view.wait(`${words} ${spell(seconds)}`);
    const due = SAID_S.findLast((step) => step <= seconds);
    const next = seconds >= 60 ? Math.floor(seconds / 60) * 60 : due;
    if (next && next > this.said) {
      this.said = next;
      this.say(`${words} ${seconds} seconds`);
    }
    return undefined;
  }

  clear() {
    this.shown?.element.classList.remove("is-counted");
    this.shown = null;
  }
}

/** @param {number} seconds */
function spell(seconds) {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
