/** The dialog that lists the keyboard shortcuts, where those of a single key can be switched off. */

import { recall, remember } from "antiphon/lib/storage";

export class Help {
  constructor() {
    this.dialog = /** @type {HTMLDialogElement} */ (document.getElementById("help"));
    const single = /** @type {HTMLInputElement} */ (document.getElementById("single-keys"));
    const show = () => (single.checked = recall("single-keys") !== "off");
    show();
    addEventListener("antiphon:choice", show); // also in the settings
    single.addEventListener("change", () => remember("single-keys", single.checked ? null : "off"));
  }

  open() {
    if (!this.dialog.open) this.dialog.showModal();
  }
}
