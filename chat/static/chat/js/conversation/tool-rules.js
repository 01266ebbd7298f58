/** How often tools ask in this conversation, and the limits of its answers with tools, in the sheet of its tools. */

import { fetchJson, post } from "antiphon/lib/fetch";
import { t } from "antiphon/lib/texts";

/**
 * @typedef {{approval: string, limits: Record<string, number | string | null>, plan: Record<string, number | string | null>,
 *   may_change: boolean}} Rules `plan`: the limits of this person's plan; null: none
 */

export class ToolRules {
  /** @param {HTMLElement} section @param {any} page @param {(words: string) => void} tell shows that a change is saved */
  constructor(section, page, tell) {
    this.section = section;
    this.page = page;
    this.tell = tell;
    this.none = /** @type {HTMLElement} */ (section.querySelector("[data-none]")).dataset.none ?? "";
    this.trouble = /** @type {HTMLElement} */ (section.querySelector(".parameter-error"));
    this.saving = Promise.resolve();
    section.addEventListener("change", (event) => {
      const { name, value } = /** @type {HTMLInputElement} */ (event.target);
      if (name) this.saving = this.saving.then(() => this.save(/** @type {HTMLInputElement} */ (event.target), name, value));
    });
  }

  get url() {
    return `${this.page.urls.root}c/${this.page.conversation_id}/tools/rules/`;
  }

  get fields() {
    return /** @type {HTMLInputElement[]} */ ([...this.section.querySelectorAll("[name]")]);
  }

  /** Shows them as they are now. A conversation that has not begun has none. */
  async load() {
    this.section.hidden = !this.page.conversation_id;
    if (this.page.conversation_id) this.show(await fetchJson(this.url));
  }

  /** @param {Rules} rules */
  show(rules) {
    for (const field of this.fields) {
      field.disabled = !rules.may_change;
      if (field.name === "approval") field.value = rules.approval;
      else {
        field.placeholder = String(rules.plan[field.name] ?? this.none);
        if (field !== document.activeElement) field.value = String(rules.limits[field.name] ?? "");
      }
    }
  }

  /** @param {HTMLInputElement} field @param {string} name @param {string} value */
  async save(field, name, value) {
    this.tell(t("Saving…"));
    try {
      this.show(await post(this.url, this.page.csrf, { [name]: value }));
      this.fail(field, "");
      this.tell(t("Saved"));
    } catch (error) {
      this.tell("");
      this.fail(field, t("Not saved. {reason}", { reason: /** @type {Error} */ (error).message }));
    }
  }

  /** @param {HTMLInputElement} field @param {string} words empty: it is as it should be */
  fail(field, words) {
    if (words) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
    field.closest(".parameter")?.append(this.trouble);
  }
}
