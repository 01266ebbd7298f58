/** The connection status above the composer, shown when there is a problem; and short notes with one action. */

import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/socket").State} State */

const QUIET_MS = 1_500; // shorter gaps are not shown
const NOTE_MS = 8_000;

const WORDS = /** @type {Record<string, string>} */ ({
  connecting: t("Connecting…"),
  reconnecting: t("Reconnecting… Your draft is saved."),
  offline: t("You’re offline. Your draft is saved."),
  resting: t("Paused while inactive."),
});

export class ConnectionLine {
  /** @param {HTMLElement} element @param {() => void} onRetry */
  constructor(element, onRetry) {
    this.element = element;
    this.words = /** @type {HTMLElement} */ (element.querySelector("p"));
    this.button = /** @type {HTMLElement} */ (element.querySelector("button"));
    this.button.addEventListener("click", onRetry);
    this.timer = 0;
    this.appear = () => {};
  }

  /** @param {State} state @param {string} detail */
  show(state, detail) {
    const quiet = state === "open" || state === "resting" || (state === "stopped" && !detail);
    this.element.dataset.state = state;
    if (quiet) {
      this.stopTimer();
      this.element.hidden = true;
      return;
    }
    this.appear = () => {
      this.stopTimer();
      this.words.textContent = detail || WORDS[state];
      this.button.hidden = state === "connecting";
      this.element.hidden = false;
    };
    const waits = this.element.hidden && !detail && state !== "stopped" && state !== "offline";
    if (!waits) this.appear();
    // The gap began with the first of several attempts: another attempt does not begin it anew.
    else if (!this.timer) this.timer = setTimeout(() => this.appear(), QUIET_MS);
  }

  stopTimer() {
    clearTimeout(this.timer);
    this.timer = 0;
  }
}

/**
 * Shows a note for a few seconds, longer while it is pointed at or has the focus.
 * @param {string} words @param {{label: string, run: () => void}} [action]
 */
export function showNote(words, action) {
  const place = /** @type {HTMLElement} */ (document.getElementById("toasts"));
  const note = document.createElement("div");
  note.className = "toast";
  note.append(Object.assign(document.createElement("span"), { textContent: words }));
  const leave = () => note.remove();
  let timer = setTimeout(leave, NOTE_MS);
  const stay = () => clearTimeout(timer);
  const resume = () => (timer = setTimeout(leave, NOTE_MS));
  note.addEventListener("pointerenter", stay);
  note.addEventListener("focusin", stay);
  note.addEventListener("pointerleave", resume);
  note.addEventListener("focusout", resume);
  if (action) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: action.label });
    button.addEventListener("click", () => {
      leave();
      action.run();
    });
    note.append(button);
  }
  place.replaceChildren(note);
}

/** Removes a note that has no action. */
export function dropNote() {
  const note = document.querySelector("#toasts > .toast");
  if (note && !note.querySelector("button")) note.remove();
}
