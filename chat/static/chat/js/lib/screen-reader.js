/**
 * Announces to screen readers each block of an answer once it is finished, never single tokens, and how an answer
 * ended. Only the last few lines stay in the live region.
 */

import { tn } from "antiphon/lib/texts";

const KEPT = 8;
const LONGEST = 600; // characters of one block

export class Announcer {
  /** @param {HTMLElement} region a live region */
  constructor(region) {
    this.region = region;
    /** @type {WeakSet<Element>} */
    this.said = new WeakSet();
  }

  /** @param {string} words */
  say(words) {
    const line = document.createElement("p");
    line.textContent = words;
    this.region.append(line);
    while (this.region.childElementCount > KEPT) this.region.firstElementChild?.remove();
  }

  /** @param {Element} block a finished block of an answer */
  block(block) {
    if (this.said.has(block)) return;
    this.said.add(block);
    const pre = block.matches("pre") ? block : block.querySelector("pre");
    const text = (block.textContent ?? "").trim();
    if (pre instanceof HTMLElement) {
      const lines = text.split("\n").length;
      const { language } = pre.dataset;
      this.say(language ? tn("Code, {language}, {count} line", "Code, {language}, {count} lines", lines, { language }) : tn("Code, {count} line", "Code, {count} lines", lines));
    } else if (text) {
      this.say(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
    }
  }
}
