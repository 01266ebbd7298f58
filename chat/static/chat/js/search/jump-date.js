/** The dialog that asks to which date of a conversation to jump. */

export class JumpDate {
  /** @param {import("antiphon/conversation/jumps").Jumps} jumps */
  constructor(jumps) {
    this.dialog = /** @type {HTMLDialogElement} */ (document.getElementById("jump-date"));
    const form = /** @type {HTMLFormElement} */ (this.dialog.querySelector("[data-jump]"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.dialog.close();
      void jumps.toDate(/** @type {HTMLInputElement} */ (form.querySelector("input")).value);
    });
  }

  open() {
    if (!this.dialog.open) this.dialog.showModal();
  }
}
