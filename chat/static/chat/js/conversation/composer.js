/** The message field: grows with its text, keeps a draft, sends; its button is Stop while an answer is in progress. */

import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";
import { LIMITS } from "antiphon/wire/protocol";
import { enterSends, isComposing } from "antiphon/lib/keys";
import { byteLength, cleanText } from "antiphon/lib/text";

/**
 * @typedef {object} How a message is sent
 * @property {boolean} [forced] with Ctrl
 * @property {boolean} [steers] with Shift, too: it stops the answer in progress
 * @property {import("antiphon/files/requests").FileObject[]} [files]
 */

export class Composer {
  /**
   * @param {HTMLFormElement} form
   * @param {object} options
   * @param {() => string} options.draftKey
   * @param {(text: string, how?: How) => void} options.onSend
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
    this.sendsHint = this.hint.textContent;
    new ResizeObserver(() => this.fitHint()).observe(this.hint);
    this.readEnterKey();
    addEventListener("antiphon:choice", (event) => {
      if (/** @type {CustomEvent} */ (event).detail.name !== "enter") return;
      this.readEnterKey();
      this.changed();
    });
    this.placeholder = this.field.placeholder;
    this.usualTitle = this.sendTitle = this.sendButton.title;
    this.mayInterject = false; // the next message asks nobody, and so need not wait for an answer
    this.limit = LIMITS.text_bytes; // of a message; `hello` may say another
    this.busy = false;
    this.queues = false; // whether a message may wait for the answer in progress
    this.held = false;
    /** Loaded with the first file. @type {import("antiphon/files/composer-files").ComposerFiles | null} */
    this.files = null;
    this.field.value = this.field.value || recall(options.draftKey()) || "";
    this.field.addEventListener("input", () => this.changed());
    this.field.addEventListener("keydown", (event) => this.onKey(event));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.stopButton.addEventListener("click", () => this.options.onStop());
    this.changed();
  }

  /** What the Enter key does, as chosen in the settings; a phone's key reads so. */
  readEnterKey() {
    this.enterSends = enterSends();
    this.field.enterKeyHint = this.enterSends ? "send" : "enter";
    this.usualHint = this.hintText = (this.enterSends ? this.sendsHint : this.hint.dataset.newLine) ?? "";
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

  /** @param {How} [how] */
  submit(how = {}) {
    const text = cleanText(this.field.value);
    const waits = this.busy && (how.forced || how.steers || !this.mayInterject);
    if ((waits && !this.queues) || this.held || this.isEmpty || this.size > this.limit) return;
    if (this.files?.hold(how)) return;
    const files = this.files?.take();
    this.write("");
    this.options.onSend(text, files?.length ? { ...how, files } : how);
  }

  /** Beside the long name of a model there may be room for half a hint, which is not shown. */
  fitHint() {
    this.hint.classList.toggle("is-cut", this.hint.scrollHeight > this.hint.clientHeight + 1);
  }

  /** Says what Enter does, and to whom the text goes; empty: as usual. @param {string} [hint] @param {string} [placeholder] */
  explain(hint, placeholder) {
    this.hintText = (this.enterSends && hint) || this.usualHint;
    this.field.placeholder = placeholder || this.placeholder;
    this.sendTitle = placeholder || this.usualTitle;
  }

  get isEmpty() {
    return !this.field.value.trim() && !this.files?.count;
  }

  get size() {
    return byteLength(this.field.value);
  }

  /** @param {string} text @param {How["files"]} [files] that were not sent */
  write(text, files) {
    this.field.value = text;
    this.files?.giveBack(files);
    this.changed();
  }

  changed() {
    const { field } = this;
    remember(this.options.draftKey(), field.value);
    this.files?.follow();
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
    const words = over ? t("Too long: about {percent}% over the limit", { percent: Math.ceil((this.size / this.limit - 1) * 100) }) : this.busy && this.queues && this.enterSends && !this.mayInterject ? (this.hint.dataset.busy ?? "") : this.hintText;
    if (words !== this.hint.textContent) {
      this.hint.textContent = words;
      this.fitHint();
    }
    this.field.setAttribute("aria-invalid", String(over));
    this.sendButton.disabled = this.isEmpty || over || this.held;
    const queues = this.busy && !this.mayInterject;
    this.sendButton.hidden = queues && !(this.queues && !this.isEmpty);
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
