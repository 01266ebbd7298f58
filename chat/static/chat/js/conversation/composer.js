/** The message field: grows with its text, keeps a draft, sends; its button is Stop while an answer is in progress. */

import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";
import { LIMITS } from "antiphon/wire/protocol";
import { enterSends, isComposing } from "antiphon/lib/keys";
import { showNote } from "antiphon/conversation/status";
import { byteLength, cleanText } from "antiphon/lib/text";

export class Composer {
  /**
   * @param {HTMLFormElement} form
   * @param {object} options
   * @param {() => string} options.draftKey
   * @param {(text: string, how?: {forced?: boolean, steers?: boolean}) => void} options.onSend `forced`: with Ctrl; `steers`: with Shift, too
   * @param {() => void} options.onStop
   * @param {() => void} options.onEditLast
   */
  constructor(form, options) {
    this.form = form;
    this.options = options;
    this.field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("text"));
    this.sendButton = /** @type {HTMLButtonElement} */ (form.querySelector("#send"));
    this.stopButton = /** @type {HTMLButtonElement} */ (form.querySelector("#stop"));
    this.hint = /** @type {HTMLElement} */ (form.querySelector("#composer-hint"));
    this.enterSends = enterSends();
    this.field.enterKeyHint = this.enterSends ? "send" : "enter"; // what a phone's key reads is what it does
    this.usualHint = this.hintText = (this.enterSends ? this.hint.textContent : this.hint.dataset.newLine) ?? "";
    this.placeholder = this.field.placeholder;
    this.usualTitle = this.sendTitle = this.sendButton.title;
    this.mayInterject = false; // the next message asks nobody, and so need not wait for an answer
    this.limit = LIMITS.text_bytes; // of a message; `hello` may say another
    this.busy = false;
    this.queues = false; // whether a message may wait for the answer in progress
    this.held = false;
    this.field.value = this.field.value || recall(options.draftKey()) || "";
    this.field.addEventListener("input", () => this.changed());
    this.field.addEventListener("keydown", (event) => this.onKey(event));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.field.addEventListener("paste", (event) => {
      const data = event.clipboardData;
      if (data?.files.length && !data.getData("text/plain")) refuseFiles(event);
    });
    for (const kind of ["dragover", "drop"]) {
      document.addEventListener(kind, (event) => {
        const { dataTransfer } = /** @type {DragEvent} */ (event);
        if (!dataTransfer?.types.includes("Files")) return;
        if (kind === "drop") refuseFiles(event); // the browser would leave the page and open the file
        else event.preventDefault();
      });
    }
    this.stopButton.addEventListener("click", () => this.options.onStop());
    this.changed();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    // While an input method composes a word, Enter chooses it.
    if (isComposing(event)) return;
    const command = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && event.shiftKey && command && !event.altKey) {
      event.preventDefault();
      this.submit({ steers: true });
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey && (this.enterSends || command)) {
      event.preventDefault();
      this.submit({ forced: command && this.enterSends });
    } else if (event.key === "ArrowUp" && !this.field.value) {
      event.preventDefault();
      this.options.onEditLast();
    }
  }

  /** @param {{forced?: boolean, steers?: boolean}} [how] `steers` stops the answer in progress, and sends then */
  submit(how = {}) {
    const text = cleanText(this.field.value);
    const waits = this.busy && (how.forced || how.steers || !this.mayInterject);
    if ((waits && !this.queues) || this.held || !text.trim() || this.size > this.limit) return;
    this.write("");
    this.options.onSend(text, how);
  }

  /** Says what Enter does, and to whom the text goes; empty: as usual. @param {string} [hint] @param {string} [placeholder] */
  explain(hint, placeholder) {
    this.hintText = (this.enterSends && hint) || this.usualHint;
    this.field.placeholder = placeholder || this.placeholder;
    this.sendTitle = placeholder || this.usualTitle;
  }

  get size() {
    return byteLength(this.field.value);
  }

  /** @param {string} text */
  write(text) {
    this.field.value = text;
    this.changed();
  }

  changed() {
    const { field } = this;
    remember(this.options.draftKey(), field.value);
    if (CSS.supports("field-sizing", "content")) field.style.setProperty("field-sizing", "content");
    else {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight}px`;
    }
    this.show();
  }

  show() {
    const over = this.field.value.length * 3 > this.limit && this.size > this.limit;
    this.hint.classList.toggle("is-over", over);
    this.hint.textContent = over ? t("Too long: about {percent}% over the limit", { percent: Math.ceil((this.size / this.limit - 1) * 100) }) : this.busy && this.queues && this.enterSends ? (this.hint.dataset.busy ?? "") : this.hintText;
    this.field.setAttribute("aria-invalid", String(over));
    this.sendButton.disabled = !this.field.value.trim() || over || this.held;
    const queues = this.busy && !this.mayInterject;
    this.sendButton.hidden = queues && !(this.queues && this.field.value.trim());
    const { send = "", queue = "" } = this.sendButton.dataset;
    this.sendButton.title = queues ? queue : this.sendTitle;
    this.sendButton.setAttribute("aria-label", queues ? queue : send);
    this.stopButton.hidden = !this.busy;
  }

  /** @param {{busy: boolean, stopping: boolean, canStop: boolean, held: boolean}} state */
  setState(state) {
    const hadFocus = document.activeElement === this.stopButton;
    this.busy = state.busy;
    this.held = state.held;
    this.stopButton.disabled = !state.canStop;
    this.stopButton.setAttribute("aria-busy", String(state.stopping));
    this.show();
    if (hadFocus && !this.busy) this.field.focus(); // the button one had the focus on is gone
  }
}

/** @param {Event} event */
function refuseFiles(event) {
  event.preventDefault();
  showNote(t("Images and files can’t be sent. Copy the text you need and paste it."));
}
