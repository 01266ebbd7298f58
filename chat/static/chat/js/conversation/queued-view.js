/** One message that waits for its turn, above the message field. */

import { showFiles } from "antiphon/files/shown";
import { isComposing } from "antiphon/lib/keys";
import { cleanText } from "antiphon/lib/text";
import { t } from "antiphon/lib/texts";

/**
 * @typedef {object} Queued as the server sends it; `local`: it is on its way there, and has no id yet
 * @property {string} id
 * @property {string} client_id
 * @property {{id: string, name: string}} author
 * @property {string} text
 * @property {number} position
 * @property {number} revision
 * @property {import("antiphon/files/requests").FileObject[]} [files]
 * @property {boolean} [steers]
 * @property {string | null} [reason]
 * @property {string | null} [message]
 * @property {"sending" | "waiting" | "unsent"} [local]
 */

/** @param {Queued} one */
export const keyOf = (one) => one.id || one.client_id;

export class QueuedView {
  /** @param {Queued} one */
  constructor(one) {
    const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-queued"));
    const piece = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
    this.element = /** @type {HTMLLIElement} */ (piece.querySelector("li"));
    this.form = /** @type {HTMLFormElement} */ (this.element.querySelector("form"));
    this.field = /** @type {HTMLTextAreaElement} */ (this.element.querySelector("textarea"));
    this.one = one;
  }

  /** @param {string} action @returns {HTMLButtonElement} */
  button(action) {
    return /** @type {HTMLButtonElement} */ (this.element.querySelector(`[data-queue=${action}]`));
  }

  /** @param {string} name @param {string} words */
  write(name, words) {
    const place = /** @type {HTMLElement} */ (this.element.querySelector(`.queued-${name}`));
    place.textContent = words;
    place.hidden = !words;
  }

  /**
   * @param {Queued} one
   * @param {{own: boolean, removable: boolean, first: boolean, last: boolean, busy: boolean, note: string}} state
   */
  show(one, state) {
    this.one = one;
    const { element } = this;
    element.dataset.id = keyOf(one);
    element.draggable = state.own && !one.local && !(state.first && state.last);
    element.classList.toggle("is-held", Boolean(state.note) && !state.busy && !one.steers && (!one.local || one.local === "unsent"));
    this.write("author", state.own ? "" : one.author.name);
    this.write("text", one.text);
    showFiles(element, one);
    this.write("note", state.note);
    const own = state.own && !one.local;
    this.button("up").hidden = !own || state.first;
    this.button("down").hidden = !own || state.last;
    this.button("send").hidden = !(own || (state.own && one.local === "unsent"));
    this.button("edit").hidden = !state.own || one.local === "sending";
    this.button("remove").hidden = !state.removable || one.local === "sending";
    const send = this.button("send");
    send.title = (state.busy ? send.dataset.steer : send.dataset.now) ?? "";
    for (const button of element.querySelectorAll("[data-queue]")) {
      if (button instanceof HTMLButtonElement && button.title) button.setAttribute("aria-label", `${button.title}: ${one.text.slice(0, 60)}`);
    }
  }

  get editing() {
    return !this.form.hidden;
  }

  /** Opens an editor. @param {(text: string) => Promise<unknown>} save rejects with a sentence */
  edit(save) {
    const trouble = /** @type {HTMLElement} */ (this.form.querySelector(".field-error"));
    trouble.textContent = "";
    this.field.value = this.one.text;
    this.form.hidden = false;
    this.element.classList.add("is-edited");
    this.element.draggable = false;
    this.field.onkeydown = (event) => {
      if (isComposing(event)) return;
      if (event.key === "Escape") {
        event.stopPropagation();
        this.close();
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        this.form.requestSubmit();
      }
    };
    this.form.onsubmit = async (event) => {
      event.preventDefault();
      const text = cleanText(this.field.value);
      if (!text.trim()) return;
      try {
        await save(text);
        this.close();
      } catch (error) {
        trouble.textContent = error instanceof Error ? error.message : t("Something went wrong. Try again.");
      }
    };
    this.field.focus();
    this.field.setSelectionRange(this.field.value.length, this.field.value.length);
  }

  close() {
    this.form.hidden = true;
    this.element.classList.remove("is-edited");
    this.element.draggable = !this.button("up").hidden || !this.button("down").hidden;
    this.button("edit").focus();
  }
}
