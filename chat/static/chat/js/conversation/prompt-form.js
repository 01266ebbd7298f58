/** The form that asks for the variables of a prompt: one field each; Enter inserts, Escape cancels. */

import { isComposing } from "antiphon/lib/keys";

/** @typedef {{name: string, default: string, long: boolean, hint?: string, required?: boolean}} Variable */

export class PromptForm {
  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.dialog = dialog;
    this.form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
    this.title = /** @type {HTMLElement} */ (dialog.querySelector("h2"));
    this.fields = /** @type {HTMLElement} */ (dialog.querySelector(".prompt-fields"));
    this.done = /** @type {((values: Map<string, string>) => void) | null} */ (null);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.insert();
    });
    this.form.addEventListener("keydown", (event) => this.onKey(event));
    dialog.querySelector("[data-cancel]")?.addEventListener("click", () => dialog.close());
  }

  /**
   * Asks, and calls `done` with the values; not if the person cancels. The browser gives the focus back.
   * @param {string} title @param {Variable[]} variables @param {(values: Map<string, string>) => void} done
   */
  ask(title, variables, done) {
    this.done = done;
    this.title.textContent = title;
    this.fields.replaceChildren(...variables.map((variable, at) => field(variable, at)));
    this.dialog.showModal();
    const first = this.fields.querySelector("textarea");
    first?.focus();
    first?.select();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key !== "Enter" || event.shiftKey || isComposing(event) || !(event.target instanceof HTMLTextAreaElement)) return;
    event.preventDefault();
    this.insert();
  }

  insert() {
    if (!this.form.reportValidity()) return;
    const fields = [...this.fields.querySelectorAll("textarea")];
    const values = new Map(fields.map((one) => [one.name, one.value]));
    this.dialog.close();
    this.done?.(values);
  }
}

/** @param {Variable} variable @param {number} at */
function field(variable, at) {
  const box = document.createElement("div");
  box.className = "field";
  const label = document.createElement("label");
  label.htmlFor = `prompt-variable-${at}`;
  label.textContent = variable.name;
  const text = document.createElement("textarea"); // of one line, which grows: what is pasted may have several
  text.id = label.htmlFor;
  text.name = variable.name;
  text.rows = variable.long ? 5 : 1;
  text.dir = "auto";
  text.value = variable.default;
  text.required = Boolean(variable.required);
  box.append(label, text);
  if (variable.hint) {
    const hint = Object.assign(document.createElement("p"), { className: "form-note", id: `${text.id}-hint`, textContent: variable.hint });
    text.setAttribute("aria-describedby", hint.id);
    box.append(hint);
  }
  return box;
}
