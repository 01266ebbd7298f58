/**
 * What the model thought, folded above its answer: a text of its own (`run.reasoning`), rendered only where it is
 * opened. It is no part of the answer: nothing copies it or reads it aloud.
 */

import { LiveText } from "antiphon/conversation/live-text";
import { spellSeconds, t } from "antiphon/lib/texts";
import { codePoints, firstPoints, skipPoints } from "antiphon/wire/protocol";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").Reasoning} Reasoning */

const TICK_MS = 1_000;

export class Thinking {
  /**
   * @param {HTMLElement} message of which this is a part
   * @param {(block: Element) => void} onBlock called with each block that is finished while it is open
   * @param {(words: string) => void} say tells a screen reader, once, that the model thinks, and that it has
   */
  constructor(message, onBlock, say) {
    this.root = /** @type {HTMLDetailsElement} */ (message.querySelector(".thinking"));
    this.place = /** @type {HTMLElement} */ (this.root.querySelector(".thinking-text"));
    this.words = /** @type {HTMLElement} */ (this.root.querySelector(".thinking-words"));
    this.time = /** @type {HTMLElement} */ (this.root.querySelector(".thinking-time"));
    this.onBlock = onBlock;
    this.say = say;
    this.said = ""; // the last that a screen reader was told
    this.ms = Number(this.root.dataset.ms) || 0; // until `since`
    this.since = 0; // it goes on since then, by performance.now(); 0: it does not
    this.timer = 0;
    this.reading = false; // text comes in while it is open
    /** @type {LiveText | null} */
    this.live = null;
    this.setText(this.place.textContent ?? "");
    this.root.addEventListener("toggle", () => this.render());
  }

  /** Whether the model thinks now. */
  get active() {
    return this.since > 0;
  }

  /** @param {string} text */
  setText(text) {
    this.text = text;
    this.points = codePoints(text);
    this.live = null;
    this.render();
  }

  /**
   * Takes over the server's state. Without a text, what is known of it stays.
   * @param {Reasoning | undefined} reasoning @param {boolean} active
   */
  assign(reasoning, active) {
    if (reasoning?.text !== undefined && reasoning.text !== this.text) this.setText(reasoning.text);
    if (reasoning?.ms !== undefined) this.restart(reasoning.ms);
    this.root.hidden = !this.text;
    if (active && this.text) this.begin();
    else this.pause();
  }

  /** @param {Frame} delta @returns {boolean} false when text before it is missing */
  append(delta) {
    if (delta.index > this.points) return false;
    const fresh = delta.index < this.points ? skipPoints(delta.text, this.points - delta.index) : delta.text;
    if (!fresh) return true;
    this.begin();
    this.text += fresh;
    this.points += codePoints(fresh);
    this.live?.write(fresh);
    return true;
  }

  begin() {
    if (this.active) return;
    this.root.hidden = false;
    this.root.classList.add("is-active");
    this.since = performance.now();
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.tick();
    this.tell(t("Thinking…"));
  }

  /** The answer goes on, or has ended. @param {number} [ms] how long it took, where the server knows */
  pause(ms) {
    const active = this.active;
    if (active || ms !== undefined) this.restart(ms ?? this.elapsed());
    if (!this.text) return;
    this.words.textContent = t("Thought for {time}", { time: spell(this.ms) });
    this.time.textContent = "";
    if (active) this.tell(`${this.words.textContent}.`);
  }

  /** The run has ended. @param {number} [ms] */
  end(ms) {
    this.pause(ms);
    this.reading = false;
    this.live?.end();
  }

  /** A new attempt begins without what the one before thought. */
  clear() {
    this.restart(0);
    this.setText("");
    this.root.hidden = true;
    this.root.open = false;
  }

  /** A new attempt begins with so much of it. @param {number} points */
  keep(points) {
    if (!points) return this.clear();
    this.pause();
    if (points < this.points) this.setText(firstPoints(this.text, points));
    return undefined;
  }

  /** @param {number} ms */
  restart(ms) {
    clearInterval(this.timer);
    this.since = 0;
    this.ms = ms;
    this.root.classList.remove("is-active");
  }

  elapsed() {
    return this.ms + (this.active ? performance.now() - this.since : 0);
  }

  tick() {
    this.words.textContent = t("Thinking…");
    this.time.textContent = this.elapsed() < 1_000 ? "" : spell(this.elapsed() - 500);
  }

  /** Only once each: the seconds are for the eye. @param {string} words */
  tell(words) {
    if (!this.said || (this.said === t("Thinking…") && words !== this.said)) this.say((this.said = words));
  }

  /** Writes the text as Markdown, while it is open. */
  render() {
    if (!this.root.open || this.live) return;
    this.live = new LiveText(this.place, (block) => this.reading && this.root.open && this.onBlock(block));
    if (this.text) this.live.write(this.text);
    this.reading = this.active;
    if (!this.active) this.live.end();
  }
}

/** A time as the server spells it (`spell_seconds` in chat_page.py). @param {number} ms */
function spell(ms) {
  return spellSeconds(Math.max(1, Math.round(ms / 1_000)));
}
