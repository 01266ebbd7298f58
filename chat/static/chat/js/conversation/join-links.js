/** The links of a conversation by which people with an account join it. A link's secret is shown once, when it is made. */

import { LOCALE, t, tn } from "antiphon/lib/texts";

const DAY = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium" });

export class JoinLinks {
  /**
   * @param {HTMLElement} element
   * @param {object} options
   * @param {(fields: Record<string, string>) => Promise<any>} options.create
   * @param {(id: string) => Promise<any>} options.revoke
   */
  constructor(element, options) {
    this.list = /** @type {HTMLElement} */ (element.querySelector(".link-list"));
    this.form = /** @type {HTMLFormElement} */ (element.querySelector("form"));
    this.made = /** @type {HTMLElement} */ (element.querySelector(".link-made"));
    this.address = /** @type {HTMLInputElement} */ (this.made.querySelector("input"));
    this.copyButton = /** @type {HTMLButtonElement} */ (this.made.querySelector("button"));
    this.options = options;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.create();
    });
    this.copyButton.addEventListener("click", () => this.copy());
    this.list.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-revoke]"));
      if (button?.dataset.revoke) options.revoke(button.dataset.revoke);
    });
  }

  async create() {
    const value = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name)).value;
    const shown = await this.options.create({ role: value("role"), days: value("days"), most_uses: value("most_uses") });
    if (!shown) return;
    this.made.hidden = false;
    this.made.dataset.id = shown.link_id;
    this.address.value = shown.url;
    this.address.focus();
    this.address.select();
  }

  async copy() {
    const words = this.copyButton.textContent;
    try {
      await navigator.clipboard.writeText(this.address.value);
      this.copyButton.textContent = this.copyButton.dataset.done ?? words;
      setTimeout(() => (this.copyButton.textContent = words), 2_000);
    } catch {
      this.address.select(); // to be copied by hand
    }
  }

  /** @param {any[]} links */
  render(links) {
    if (!links.some((link) => link.id === this.made.dataset.id)) this.made.hidden = true;
    this.list.replaceChildren(...links.map((link) => {
      const item = document.createElement("li");
      const words = document.createElement("span");
      words.textContent = `${roleWords(link)} · ${useWords(link)}`;
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "button button-small", textContent: t("Revoke") });
      button.dataset.revoke = link.id;
      button.setAttribute("aria-label", t("Revoke the link: {link}", { link: words.textContent ?? "" }));
      item.append(words, button);
      return item;
    }));
  }
}

/** @param {any} link */
function roleWords(link) {
  const date = DAY.format(new Date(link.expires_at));
  return link.role === "viewer" ? t("Viewers, until {date}", { date }) : t("Editors, until {date}", { date });
}

/** @param {any} link */
function useWords(link) {
  if (!link.uses) return t("not used yet");
  const values = { most: link.most_uses ?? 0 };
  return link.most_uses ? tn("used once of {most}", "used {count} times of {most}", link.uses, values) : tn("used once", "used {count} times", link.uses);
}
