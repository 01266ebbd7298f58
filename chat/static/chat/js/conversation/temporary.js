/** Temporary conversations: chosen before the first message, and marked from then on. */

import { t } from "antiphon/lib/texts";

export class Temporary {
  /** @param {any} page what the server put into the page @param {(words: string) => void} say */
  constructor(page, say) {
    this.page = page;
    this.box = /** @type {HTMLInputElement | null} */ (document.getElementById("temporary"));
    this.box?.addEventListener("change", () => {
      this.set(this.box?.checked ?? false);
      say((this.on && document.getElementById("temporary-note")?.textContent) || t("A regular conversation, listed in your conversations."));
    });
    if (this.box && this.box.checked !== this.on) this.set(this.box.checked); // a browser that restores forms
  }

  get on() {
    return document.body.hasAttribute("data-temporary");
  }

  /** Whether the next message begins a temporary conversation. */
  get begins() {
    return this.on && !this.page.conversation_id;
  }

  /** @param {boolean} on */
  set(on) {
    document.body.toggleAttribute("data-temporary", on);
    if (this.box) this.box.checked = on;
    // A reload keeps the choice, and it can be a bookmark.
    if (!this.page.conversation_id) history.replaceState(null, "", on ? `${this.page.urls.root}?temporary` : this.page.urls.root);
  }
}
