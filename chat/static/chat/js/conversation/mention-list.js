/**
 * A list of members and models that opens when an `@` is typed. Choosing one writes its name. As with the prompts, the
 * field stays a text field of several lines: it names the list and its active option, and a status says how many fit.
 */

import { fittingMentions, mentionAt } from "antiphon/conversation/mention-text";
import { isComposing } from "antiphon/lib/keys";
import { initial } from "antiphon/conversation/presence";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/mention-text").Mentionable} Mentionable */

const COUNT_MS = 400; // after the last key, so that a screen reader is not interrupted by each

export class MentionList {
  /**
   * @param {import("antiphon/conversation/composer").Composer} composer
   * @param {any} page what the server put into the page
   * @param {import("antiphon/conversation/asking").Asking} asking
   */
  constructor(composer, page, asking) {
    this.composer = composer;
    this.field = composer.field;
    this.page = page;
    this.asking = asking;
    this.popup = /** @type {HTMLElement} */ (document.getElementById("mentions"));
    this.list = /** @type {HTMLElement} */ (document.getElementById("mentions-list"));
    this.count = /** @type {HTMLElement} */ (this.popup.querySelector("[role=status]"));
    /** @type {Mentionable[]} */
    this.shown = [];
    this.active = -1;
    this.dismissed = -1; // the place of an `@` that is to be left alone
    this.counting = 0;
    this.field.addEventListener("input", () => this.look());
    this.field.addEventListener("click", () => this.look());
    this.field.addEventListener("blur", () => this.close());
    composer.form.addEventListener("keydown", (event) => this.onKey(event), { capture: true });
    this.popup.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the field
    this.list.addEventListener("click", (event) => this.pick(indexOf(event.target)));
    this.list.addEventListener("pointermove", (event) => {
      const at = event.pointerType === "mouse" ? indexOf(event.target) : -1;
      if (at >= 0 && at !== this.active) this.activate(at);
    });
  }

  get isOpen() {
    return !this.popup.hidden;
  }

  /** The `@` before the caret, with what is typed after it. */
  get typed() {
    const { selectionStart, selectionEnd, value } = this.field;
    return selectionStart === selectionEnd ? mentionAt(value, selectionStart) : null;
  }

  /** Everybody who can be mentioned, and the models. @returns {Mentionable[]} */
  get all() {
    const { asking, page } = this;
    const people = (page.members ?? []).filter((/** @type {any} */ one) => one.id !== page.user.id);
    return [
      { value: "model", label: t("model"), about: t("ask the model") },
      ...people.map((/** @type {any} */ one) => ({ value: one.name, label: one.name, about: "" })),
      ...asking.picker.models.map((one) => ({ value: one.id, label: one.label, about: t("ask this model") })),
    ];
  }

  look() {
    const { typed } = this;
    if (!typed || !this.asking.isShared || document.activeElement !== this.field) return this.close();
    if (typed.start === this.dismissed) return this.close();
    this.dismissed = -1;
    return this.show(fittingMentions(this.all, typed.query));
  }

  /** @param {Mentionable[]} found */
  show(found) {
    if (!found.length) return this.close();
    this.shown = found;
    this.list.replaceChildren(...found.map((one, at) => row(one, at, found.length)));
    this.popup.hidden = false;
    this.field.setAttribute("aria-controls", this.list.id);
    this.activate(0);
    clearTimeout(this.counting);
    this.counting = window.setTimeout(() => {
      this.count.textContent = tn("{count} name", "{count} names", found.length);
    }, COUNT_MS);
    return undefined;
  }

  close() {
    if (!this.isOpen) return;
    this.popup.hidden = true;
    clearTimeout(this.counting);
    this.count.textContent = "";
    this.active = -1;
    this.field.removeAttribute("aria-controls");
    this.field.removeAttribute("aria-activedescendant");
  }

  /** @param {number} index */
  activate(index) {
    for (const [at, one] of [...this.list.children].entries()) one.ariaSelected = String(at === index);
    this.active = index;
    const chosen = this.list.children[index];
    this.field.setAttribute("aria-activedescendant", chosen.id);
    chosen.scrollIntoView({ block: "nearest" });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!this.isOpen || event.target !== this.field || isComposing(event) || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.shown.length - 1;
    if (event.key === "Escape") {
      this.dismissed = this.typed?.start ?? -1;
      this.close();
    } else if (event.key === "ArrowDown") this.activate(this.active >= last ? 0 : this.active + 1);
    else if (event.key === "ArrowUp") this.activate(this.active <= 0 ? last : this.active - 1);
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) this.pick(this.active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} index */
  pick(index) {
    const { typed } = this;
    const chosen = this.shown[index];
    this.close();
    if (!typed || !chosen) return;
    this.field.setRangeText(`@${chosen.value} `, typed.start, this.field.selectionStart, "end");
    this.field.focus();
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    this.close();
  }
}

/** @param {Mentionable} one @param {number} at @param {number} size */
function row(one, at, size) {
  const option = document.createElement("div");
  option.role = "option";
  option.id = `mention-${at}`;
  option.className = "prompt mention-option";
  option.dataset.index = String(at);
  option.ariaPosInSet = String(at + 1);
  option.ariaSetSize = String(size);
  const mark = Object.assign(document.createElement("span"), { className: "avatar", textContent: one.about ? "@" : initial(one.label) });
  mark.ariaHidden = "true";
  const name = Object.assign(document.createElement("span"), { className: "prompt-name", textContent: one.label, dir: "auto" });
  option.append(mark, name, Object.assign(document.createElement("span"), { className: "prompt-title", textContent: one.about }));
  return option;
}

/** @param {EventTarget | null} target */
function indexOf(target) {
  const option = /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest("[role=option]"));
  return option ? Number(option.dataset.index) : -1;
}
