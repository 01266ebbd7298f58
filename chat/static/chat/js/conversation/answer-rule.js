/** In the sheet of the people: which messages the model answers. */

import { post } from "antiphon/lib/fetch";
import { t } from "antiphon/lib/texts";

/** @typedef {{answers: string, chosen: string | null, usual: string, may_change: boolean}} Rule */

export class AnswerRule {
  /**
   * @param {HTMLElement} sheet
   * @param {any} page what the server put into the page
   * @param {{say: (words: string) => void, fail: (words: string) => void}} options
   */
  constructor(sheet, page, options) {
    this.page = page;
    this.options = options;
    this.element = /** @type {HTMLElement} */ (sheet.querySelector(".people-answers"));
    this.select = /** @type {HTMLSelectElement} */ (this.element.querySelector("select"));
    this.usual = /** @type {HTMLOptionElement} */ (this.select.options[0]);
    this.select.addEventListener("change", () => this.change());
    /** @type {Rule | null} */
    this.shown = null;
  }

  /** @param {Rule} rule */
  render(rule) {
    this.shown = rule;
    const { usual } = this;
    usual.textContent = (rule.usual === "always" ? usual.dataset.always : usual.dataset.mentioned) ?? "";
    this.select.value = rule.chosen ?? "";
    this.select.disabled = !rule.may_change;
  }

  async change() {
    this.options.fail("");
    try {
      const rule = await post(`${this.page.urls.root}c/${this.page.conversation_id}/answers/`, this.page.csrf, { answers: this.select.value });
      this.render(rule);
      this.options.say(rule.answers === "always" ? t("The model answers every message.") : t("The model answers messages that mention it."));
    } catch (error) {
      this.options.fail(/** @type {Error} */ (error).message);
      if (this.shown) this.render(this.shown);
    }
  }
}
