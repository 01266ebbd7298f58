/** The picker's way to several models: while it compares, each row that is picked is added or taken away. */

import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/picker-dialog").PickerDialog} PickerDialog */

export const MIN_COMPARED = 2;
export const MAX_COMPARED = 4; // as in chat/protocol/limits.py

export class PickerCompare {
  /** @param {PickerDialog} dialog */
  constructor(dialog) {
    this.dialog = dialog;
    this.on = false;
    /** @type {string[]} ids of models, in the order in which they were picked */
    this.picks = [];
    this.bar = /** @type {HTMLElement} */ (dialog.element.querySelector(".models-compare"));
    this.toggle = /** @type {HTMLButtonElement} */ (this.bar.querySelector("[aria-pressed]"));
    this.hint = /** @type {HTMLElement} */ (this.bar.querySelector("p"));
    this.done = /** @type {HTMLButtonElement} */ (this.bar.querySelector(".button-primary"));
    this.toggle.addEventListener("click", () => this.turn(!this.on));
    this.done.addEventListener("click", () => dialog.element.close());
    dialog.element.addEventListener("close", () => this.finish());
  }

  /** The dialog opens. */
  begin() {
    this.picks = [...(this.dialog.picker.compared ?? [])];
    this.on = this.picks.length > 0;
    this.show();
  }

  /** @param {boolean} on */
  turn(on) {
    const { picker } = this.dialog;
    this.on = on;
    this.picks = on && this.dialog.data.models.some((entry) => entry.value === picker.value) ? [picker.value] : [];
    if (!on) picker.compare([]);
    this.show();
    this.dialog.refresh();
    this.dialog.field.focus();
  }

  /** Adds a model or takes it away. @param {string} value @param {HTMLElement | undefined} row */
  pick(value, row) {
    const known = this.picks.includes(value);
    if (!known && this.picks.length >= MAX_COMPARED) {
      this.dialog.count.textContent = this.hint.textContent = tn("You can compare up to {count} model.", "You can compare up to {count} models.", MAX_COMPARED);
      return;
    }
    this.picks = known ? this.picks.filter((one) => one !== value) : [...this.picks, value];
    if (row) row.ariaSelected = String(!known);
    this.show();
    this.dialog.count.textContent = this.hint.textContent;
  }

  /** The dialog was closed: what was picked is what the next message asks. */
  finish() {
    if (this.on && this.picks.length >= MIN_COMPARED) this.dialog.picker.compare(this.picks);
    else if (this.on) this.dialog.picker.compare([]);
  }

  show() {
    const count = this.picks.length;
    const enough = count >= MIN_COMPARED;
    this.bar.hidden = this.dialog.data.models.length < MIN_COMPARED;
    this.toggle.setAttribute("aria-pressed", String(this.on));
    if (this.on) this.dialog.box.ariaMultiSelectable = "true";
    else this.dialog.box.ariaMultiSelectable = null;
    const missing = count === 1 ? t("1 model selected. Add at least one more.") : t("Select {least} to {most} models.", { least: MIN_COMPARED, most: MAX_COMPARED });
    this.hint.textContent = this.on ? (enough ? tn("{count} model selected", "{count} models selected", count) : missing) : "";
    this.done.hidden = !this.on;
    this.done.disabled = !enough;
  }
}
