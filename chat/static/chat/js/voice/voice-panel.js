/** The panel above the field while a recording is made: its state, level and time, and the partial transcript. */

import { t } from "antiphon/lib/texts";
import { clock } from "antiphon/voice/messages";

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

const NEAR_MS = 30_000; // from here on, the time that is left is shown

export class VoicePanel {
  /** @param {HTMLButtonElement} button @param {import("antiphon/lib/screen-reader").Announcer} announcer */
  constructor(button, announcer) {
    this.button = button;
    this.idle = button.title; // how to begin, and which languages are understood
    this.announcer = announcer;
    this.root = byId("voice");
    this.stable = byId("heard-stable");
    this.rest = byId("heard-rest");
    this.state = byId("voice-state");
    this.level = byId("voice-level");
    this.time = byId("voice-time");
    this.kept = byId("voice-kept");
  }

  /** @param {number} level 0 to 1 */
  showLevel(level) {
    this.level.style.setProperty("--level", String(Math.min(1, level * 6)));
  }

  /**
   * Shows the time recorded; near the end, the time left by the limit or the quota.
   * @param {number} spoken ms @param {number} limit ms
   */
  showTime(spoken, limit) {
    const left = Math.max(0, limit - spoken);
    const near = left <= NEAR_MS;
    if (near && !this.time.classList.contains("is-near")) this.announcer.say(t("{time} of recording time left.", { time: clock(left) }));
    this.time.classList.toggle("is-near", near);
    const words = near ? t("{time} left", { time: clock(left) }) : clock(spoken);
    if (this.time.textContent !== words) this.time.textContent = words;
  }

  /** @param {string} text @param {number} stable how many characters will stay */
  show(text, stable) {
    const points = [...text];
    this.stable.textContent = points.slice(0, stable).join("");
    this.rest.textContent = points.slice(stable).join("");
  }

  /** @param {"off" | "starting" | "listening" | "finishing"} phase @param {string} words */
  enter(phase, words) {
    const on = phase !== "off";
    this.root.hidden = !on;
    this.root.dataset.phase = phase;
    this.state.textContent = words;
    this.button.setAttribute("aria-pressed", String(on));
    this.button.setAttribute("aria-label", on ? t("Stop recording") : t("Record voice"));
    this.button.title = on ? t("Stop recording") : this.idle;
    this.level.style.setProperty("--level", "0");
    if (phase === "starting") {
      this.kept.textContent = "";
      this.time.classList.remove("is-near");
      this.time.textContent = "";
    }
  }
}
