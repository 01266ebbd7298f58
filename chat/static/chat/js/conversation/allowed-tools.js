/** What members have allowed tools in this conversation without being asked again, in the sheet of its tools. */

import { fetchJson, post } from "antiphon/lib/fetch";
import { isolate } from "antiphon/lib/names";
import { t } from "antiphon/lib/texts";

/** @typedef {{id: number, title: string, server: string, by: {id: string, name: string}, at: string, may_undo: boolean}} Approval */

export class AllowedTools {
  /** @param {HTMLElement} section @param {any} page @param {(words: string) => void} fail shows what went wrong */
  constructor(section, page, fail) {
    this.section = section;
    this.page = page;
    this.fail = fail;
    this.list = /** @type {HTMLElement} */ (section.querySelector("ul"));
    this.blank = /** @type {HTMLElement} */ (/** @type {HTMLTemplateElement} */ (section.querySelector("template")).content.firstElementChild);
  }

  get url() {
    return `${this.page.urls.root}c/${this.page.conversation_id}/approvals/`;
  }

  /** Shows them as they are now. A conversation that has not begun has none. */
  async load() {
    /** @type {{approvals: Approval[]}} */
    const { approvals } = this.page.conversation_id ? await fetchJson(this.url) : { approvals: [] };
    this.list.replaceChildren(...approvals.map((approval) => this.item(approval)));
    this.section.hidden = approvals.length === 0;
  }

  /** @param {Approval} approval */
  item(approval) {
    const item = /** @type {HTMLElement} */ (this.blank.cloneNode(true));
    const [title, by] = item.querySelectorAll("span");
    title.textContent = approval.server ? `${approval.title} (${approval.server})` : approval.title;
    by.textContent = approval.by.id === this.page.user.id ? t("Allowed by you") : t("Allowed by {name}", { name: isolate(approval.by.name) });
    const button = /** @type {HTMLButtonElement} */ (item.querySelector("button"));
    button.hidden = !approval.may_undo;
    button.setAttribute("aria-label", t("Ask again before {tool}", { tool: approval.title }));
    button.addEventListener("click", () => this.undo(approval.id, button));
    return item;
  }

  /** @param {number} id @param {HTMLButtonElement} button */
  async undo(id, button) {
    button.disabled = true;
    try {
      await post(`${this.url}${id}/undo/`, this.page.csrf);
      await this.load();
      this.fail("");
    } catch (error) {
      button.disabled = false;
      this.fail(/** @type {Error} */ (error).message);
    }
  }
}
