/** A sheet beside the text where there is room, else over it: how it opens and closes, and where the focus goes. */

import { closeOnEscape } from "antiphon/lib/keys";

const WIDE = "(width >= 72rem)"; // there is room beside the text; parameters.css has the same

/** Its dialog has a title that can have the focus, which `aria-labelledby` names, and a button `[data-close]`. */
export class SideSheet {
  /** @param {HTMLElement} button that opens it @param {HTMLDialogElement} sheet */
  constructor(button, sheet) {
    this.button = button;
    this.sheet = sheet;
    this.moving = false; // from beside the text to over it, or back
    /** What had the focus before. @type {HTMLElement | null} */
    this.before = null;
    this.part("[data-close]").addEventListener("click", () => this.close());
    sheet.addEventListener("keydown", (event) => closeOnEscape(event, this));
    sheet.addEventListener("close", () => this.onClose());
    matchMedia(WIDE).addEventListener("change", () => this.isOpen && this.show());
  }

  /** @param {string} selector @returns {HTMLElement} */
  part(selector) {
    return /** @type {HTMLElement} */ (this.sheet.querySelector(selector));
  }

  get isOpen() {
    return this.sheet.open;
  }

  /** Where the focus goes back to if nothing had it. */
  get opener() {
    return this.button;
  }

  open() {
    if (this.isOpen) return;
    const before = document.activeElement;
    this.before = before instanceof HTMLElement && before !== document.body ? before : this.opener;
    this.show();
    this.button.setAttribute("aria-expanded", "true");
    this.part(`#${this.sheet.getAttribute("aria-labelledby")}`).focus();
    this.opened();
  }

  show() {
    if (this.isOpen) {
      this.moving = true;
      this.sheet.close();
    }
    if (matchMedia(WIDE).matches) this.sheet.show();
    else this.sheet.showModal();
  }

  /** Closes it. The focus goes back to where it was, unless the user has left the sheet meanwhile. */
  close() {
    const inside = this.sheet.contains(document.activeElement);
    this.sheet.close();
    if (inside) this.before?.focus();
  }

  onClose() {
    if (this.moving) return void (this.moving = false);
    this.button.setAttribute("aria-expanded", "false");
    return this.closed();
  }

  /** It is open now. */
  opened() {}

  /** It is closed now. */
  closed() {}

  /** @param {string} words empty: there is no trouble */
  fail(words) {
    const trouble = this.part(".parameters-trouble");
    trouble.textContent = words;
    trouble.hidden = !words;
  }
}
