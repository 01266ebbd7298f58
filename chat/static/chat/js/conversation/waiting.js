/**
 * Shows how long an answer has been waited for, and for what, from `SHOWN_MS` on; with a button to stop it. Screen
 * readers are told now and then, not each second.
 */

import { spellSeconds, t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {"queue" | "model" | "loading" | "thinking" | "tool" | "more" | "person"} Kind */

const SHOWN_MS = 3_000;
const SAID_S = [10, 30, 60]; // then each minute

/** What is shown before the seconds. `MessageView.await` says which. @type {Record<Kind, string>} */
const WORDS = {
  queue: t("Waiting for a free worker…"),
  model: t("Waiting for the model’s first words…"),
  loading: t("The model is being loaded…"),
  thinking: t("Thinking…"),
  tool: t("Waiting for a tool…"),
  more: t("Waiting for the model to continue…"),
  person: t("Waiting for a reviewer…"),
};

/** @param {number} before how many answers have their turn before this one */
function queueWords(before) {
  if (!before) return WORDS.queue;
  return tn("Waiting for a free worker: {count} answer before yours…", "Waiting for a free worker: {count} answers before yours…", before);
}

export class Waiting {
  /**
   * @param {() => MessageView[]} running the answers in progress
   * @param {(words: string) => void} say
   * @param {() => boolean} connected
   */
  constructor(running, say, connected) {
    this.running = running;
    this.connected = connected;
    this.say = say;
    this.timer = 0;
    /** The views that show seconds, with those that were announced last. @type {Map<MessageView, number>} */
    this.shown = new Map();
  }

  /** Something has changed: counts while an answer is in progress. */
  look() {
    const views = this.running();
    if (views.length && !this.timer) this.timer = setInterval(() => this.tick(), 1_000);
    if (!views.length) {
      clearInterval(this.timer);
      this.timer = 0;
    }
    for (const view of this.shown.keys()) if (!views.includes(view) || view.status !== "pending") this.clear(view);
  }

  tick() {
    const views = this.running();
    if (!views.length) this.look();
    for (const view of views) this.count(view);
  }

  /** The time that is shown now: of the first words, or of a pause in the middle. @param {MessageView} view */
  count(view) {
    // Thinking shows its own seconds; a person may take hours. Without a connection, it is not the model that is waited for.
    if (view.thinking?.active || view.awaited === "person" || !this.connected()) return this.clear(view);
    const pending = view.status === "pending";
    const waited = performance.now() - (pending ? view.waitingSince : view.heardAt);
    if (waited < SHOWN_MS) return this.clear(view);
    const seconds = Math.floor(waited / 1000);
    const words = pending && view.awaited === "queue" ? queueWords(view.before ?? 0) : WORDS[pending ? view.awaited : "more"];
    const said = this.shown.get(view) ?? 0;
    this.shown.set(view, said);
    view.element.classList.add("is-counted");
    view.wait(`${words} ${spellSeconds(seconds)}`);
    const due = SAID_S.findLast((step) => step <= seconds);
    const next = seconds >= 60 ? Math.floor(seconds / 60) * 60 : due;
    if (next && next > said) {
      this.shown.set(view, next);
      if (view === this.running()[0]) this.say(`${words} ${tn("{count} second", "{count} seconds", seconds)}`);
    }
    return undefined;
  }

  /** @param {MessageView} view */
  clear(view) {
    if (this.shown.delete(view)) view.element.classList.remove("is-counted");
  }
}
