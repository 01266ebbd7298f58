/** The fields of the parameters' sheet: what is in them, and whether it can be saved. */

import { LOCALE } from "antiphon/lib/texts";

const COUNTED_FROM = 0.8; // of the longest text: from there on its length is shown

export class Field {
  /**
   * @param {import("antiphon/conversation/parameters-sheet").Name} name
   * @param {HTMLElement} element
   * @param {{onChange: (text: string, soon: boolean) => void, onReset: () => void}} options
   */
  constructor(name, element, options) {
    this.name = name;
    this.element = element;
    this.options = options;
    this.resetButton = /** @type {HTMLElement | null} */ (element.querySelector("[data-reset]"));
    this.error = /** @type {HTMLElement | null} */ (element.querySelector(".parameter-error"));
    this.refusal = /** @type {HTMLElement | null} */ (element.querySelector(".parameter-refused"));
    this.count = /** @type {HTMLElement | null} */ (element.querySelector(".parameter-count"));
    this.text = /** @type {HTMLInputElement | HTMLTextAreaElement | null} */ (element.querySelector("textarea, input[type=text]"));
    this.slider = /** @type {HTMLInputElement | null} */ (element.querySelector("input[type=range]"));
    this.radios = [.../** @type {NodeListOf<HTMLInputElement>} */ (element.querySelectorAll("input[type=radio]"))];
    this.limit = Infinity;
    this.edited = false; // typed into and not saved yet
    this.resetButton?.addEventListener("click", () => options.onReset());
    this.text?.addEventListener("input", () => this.typed());
    this.text?.addEventListener("change", () => this.finish());
    this.slider?.addEventListener("input", () => this.slide());
    this.slider?.addEventListener("change", () => this.finish());
    for (const radio of this.radios) radio.addEventListener("change", () => options.onChange(radio.value, false));
  }

  /** @param {import("antiphon/conversation/parameters-sheet").Shown} shown @param {string | undefined} waiting what is not saved yet */
  show(shown, waiting) {
    const own = shown.values[this.name];
    const fallback = shown.defaults[this.name];
    const locked = !shown.may_change;
    this.limit = shown.limits[this.name] ?? Infinity;
    if (this.resetButton) this.resetButton.hidden = locked || own === null;
    for (const radio of this.radios) {
      radio.checked = radio.value === (waiting ?? own ?? fallback ?? "");
      radio.disabled = locked;
    }
    if (!this.text) return;
    this.text.readOnly = locked;
    const { placeholder = "", private: hidden = "" } = this.text.dataset;
    const isPrivate = locked && this.name === "system_prompt" && shown.has_system_prompt;
    this.text.placeholder = isPrivate ? hidden : fallback || fallback === 0 ? String(fallback) : placeholder;
    if (this.name === "system_prompt") /** @type {HTMLTextAreaElement} */ (this.text).maxLength = this.limit;
    // What is being typed stays as it is.
    if (waiting === undefined && !(this.edited && document.activeElement === this.text)) {
      this.text.value = own === null ? "" : String(own);
      this.edited = false;
      this.fail("");
    }
    if (this.slider) {
      this.slider.disabled = locked;
      this.slider.classList.toggle("is-default", !this.text.value);
      this.slider.value = this.text.value ? String(parse(this.text.value)) : String(fallback ?? 1);
    }
    this.showCount();
  }

  /** Nothing can be changed until the next `show`. */
  lock() {
    if (this.text) this.text.readOnly = true;
    if (this.slider) this.slider.disabled = true;
    for (const radio of this.radios) radio.disabled = true;
  }

  typed() {
    this.edited = true;
    this.showCount();
    if (this.error && !this.error.hidden) this.check(); // an error goes as soon as it is mended
    if (this.name === "system_prompt") this.options.onChange(this.text?.value.trim() ?? "", true);
  }

  /** A field was left, or the slider let go. */
  finish() {
    if (!this.text || !this.check()) return;
    this.edited = false;
    const text = this.text.value.trim();
    this.options.onChange(this.name === "system_prompt" || !text ? text : String(parse(text)), false);
  }

  slide() {
    if (!this.slider || !this.text) return;
    this.text.value = this.slider.value;
    this.slider.classList.remove("is-default");
    this.fail("");
  }

  /** Whether what is in the field can be saved; if not, the field says so. */
  check() {
    if (!this.text || this.name === "system_prompt") return true;
    const text = this.text.value.trim();
    const value = parse(text);
    const least = this.name === "max_tokens" ? 1 : 0;
    const good = !text || (value >= least && value <= this.limit && (this.name !== "max_tokens" || Number.isInteger(value)));
    this.fail(good ? "" : this.text.dataset.invalid ?? "");
    return good;
  }

  clear() {
    if (this.text) this.text.value = "";
    this.edited = false;
    this.fail("");
  }

  focus() {
    this.text?.focus();
  }

  /** @param {string} words empty: there is nothing wrong */
  fail(words) {
    if (!this.error || !this.text) return;
    this.error.textContent = words;
    this.error.hidden = !words;
    if (words) this.text.setAttribute("aria-invalid", "true");
    else this.text.removeAttribute("aria-invalid");
  }

  /** @param {string} words empty: the model accepts the parameter */
  refuse(words) {
    if (!this.refusal) return;
    this.refusal.textContent = words;
    this.refusal.hidden = !words;
  }

  showCount() {
    if (!this.count || !this.text) return;
    const { length } = this.text.value;
    this.count.textContent = length >= COUNTED_FROM * this.limit ? `${length.toLocaleString(LOCALE)} / ${this.limit.toLocaleString(LOCALE)}` : "";
  }
}

/** A number as people write it, with a point or a comma. @param {string} text @returns {number} NaN for anything else */
function parse(text) {
  const plain = text.trim().replace(",", ".");
  return /^\d*\.?\d+$|^\d+\.$/.test(plain) ? Number(plain) : NaN;
}
