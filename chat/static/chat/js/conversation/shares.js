/** Share links of a conversation: a sheet in which they are created and revoked. A link's address is shown once. */

import { fetchJson, post } from "antiphon/lib/fetch";
import { closeOnEscape } from "antiphon/lib/keys";
import { LOCALE, t, tn } from "antiphon/lib/texts";

const DAY = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium" });
/** By kind and audience. @type {Record<string, Record<string, (date: string) => string>>} */
const LINKS = {
  snapshot: {
    anyone: (date) => t("Snapshot, anyone with the link, until {date}", { date }),
    users: (date) => t("Snapshot, people with an account, until {date}", { date }),
    password: (date) => t("Snapshot, with a password, until {date}", { date }),
  },
  live: {
    anyone: (date) => t("Live, anyone with the link, until {date}", { date }),
    users: (date) => t("Live, people with an account, until {date}", { date }),
    password: (date) => t("Live, with a password, until {date}", { date }),
  },
};

export class Shares {
  /**
   * @param {any} page what the server put into the page
   * @param {(words: string) => void} say to a screen reader
   */
  constructor(page, say) {
    this.page = page;
    this.say = say;
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("shares-button"));
    this.sheet = /** @type {HTMLDialogElement} */ (document.getElementById("shares"));
    this.form = /** @type {HTMLFormElement} */ (this.part("form"));
    this.list = this.part(".link-list");
    this.trouble = this.part(".shares-trouble");
    this.made = this.part(".link-made");
    this.address = /** @type {HTMLInputElement} */ (this.part(".link-made input"));
    this.part(".share-tools").hidden = !page.tools.any;
    this.part("[data-close]").addEventListener("click", () => this.sheet.close());
    this.part("[data-copy]").addEventListener("click", () => this.copy());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.create();
    });
    this.form.addEventListener("change", () => this.showChoice());
    this.list.addEventListener("click", (event) => this.onClick(event));
    this.sheet.addEventListener("keydown", (event) => closeOnEscape(event, this.sheet));
    this.sheet.addEventListener("close", () => this.button.setAttribute("aria-expanded", "false"));
  }

  /** @param {string} selector @returns {HTMLElement} */
  part(selector) {
    return /** @type {HTMLElement} */ (this.sheet.querySelector(selector));
  }

  get url() {
    return `${this.page.urls.root}c/${this.page.conversation_id}/shares/`;
  }

  async open() {
    this.fail("");
    this.made.hidden = true;
    this.sheet.showModal();
    this.button.setAttribute("aria-expanded", "true");
    this.part("h2").focus();
    this.showChoice();
    try {
      this.render(await fetchJson(this.url));
    } catch (error) {
      this.fail(/** @type {Error} */ (error).message);
    }
  }

  /** @param {string} name */
  value(name) {
    return new FormData(this.form).get(name)?.toString() ?? "";
  }

  /** Shows the password's field where the choice needs one, and says what the choice means. */
  showChoice() {
    const password = this.part(".share-password");
    password.hidden = this.value("audience") !== "password";
    /** @type {HTMLInputElement} */ (password.querySelector("input")).required = !password.hidden;
    for (const hint of this.form.querySelectorAll("[data-hint]")) {
      /** @type {HTMLElement} */ (hint).hidden = /** @type {HTMLElement} */ (hint).dataset.hint !== this.value("kind");
    }
  }

  async create() {
    const shown = await this.change("new/", {
      kind: this.value("kind"),
      audience: this.value("audience"),
      password: this.value("audience") === "password" ? this.value("password") : "",
      days: this.value("days"),
      names: this.value("names") ? "1" : "0",
      reasoning: this.value("reasoning") ? "1" : "0",
      tools: this.value("tools") ? "1" : "0",
      files: this.value("files") ? "1" : "0",
      message_id: this.value("kind") === "snapshot" ? lastShown() : "",
    });
    if (!shown) return;
    /** @type {HTMLInputElement} */ (this.part(".share-password input")).value = "";
    this.made.hidden = false;
    this.made.dataset.id = shown.link_id;
    this.address.value = shown.url;
    this.address.focus();
    this.address.select();
    this.say(t("The link was created."));
  }

  /** @param {Event} event */
  async onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-revoke]"));
    if (!button) return;
    const shown = await this.change(`${button.dataset.revoke}/revoke/`, {});
    if (!shown) return;
    this.say(t("The link no longer works."));
    this.part("h2").focus();
  }

  /** @param {string} path @param {Record<string, string>} fields @returns {Promise<any>} null if it was refused */
  async change(path, fields) {
    this.fail("");
    try {
      const shown = await post(this.url + path, this.page.csrf, fields);
      this.render(shown);
      return shown;
    } catch (error) {
      this.fail(/** @type {Error} */ (error).message);
      return null;
    }
  }

  /** @param {{links: any[], audiences: string[], refused: string}} shown */
  render(shown) {
    this.form.hidden = Boolean(shown.refused);
    const refused = this.part(".shares-refused");
    refused.hidden = !shown.refused;
    refused.textContent = shown.refused;
    for (const option of /** @type {NodeListOf<HTMLOptionElement>} */ (this.form.querySelectorAll("[name=audience] option"))) {
      option.hidden = option.disabled = !shown.audiences.includes(option.value);
    }
    if (!shown.links.some((link) => link.id === this.made.dataset.id)) this.made.hidden = true;
    this.part(".shares-list").hidden = !shown.links.length;
    this.list.replaceChildren(...shown.links.map((link) => this.entry(link)));
  }

  /** @param {any} link */
  entry(link) {
    const item = document.createElement("li");
    const words = document.createElement("span");
    const views = link.views ? tn("opened once", "opened {count} times", link.views) : t("not opened yet");
    words.textContent = `${LINKS[link.kind][link.audience](DAY.format(new Date(link.expires_at)))} · ${views}`;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button button-small", textContent: t("Revoke") });
    button.dataset.revoke = link.id;
    button.setAttribute("aria-label", t("Revoke the link: {link}", { link: words.textContent ?? "" }));
    item.append(words, button);
    return item;
  }

  async copy() {
    const button = this.part("[data-copy]");
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(this.address.value);
      button.textContent = button.dataset.done ?? words;
      setTimeout(() => (button.textContent = words), 2_000);
    } catch {
      this.address.select(); // to be copied by hand
    }
  }

  /** @param {string} words empty: nothing is wrong */
  fail(words) {
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
  }
}

/** The last message of the branch that is on the page; a snapshot ends with it. */
function lastShown() {
  const shown = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#transcript .message[data-id]"));
  return shown[shown.length - 1]?.dataset.id ?? "";
}
