/** The sheet of the people: owners add, change and remove members, and make links to join. Loaded with the first press. */

import { fetchJson, post } from "antiphon/lib/fetch";
import { closeOnEscape } from "antiphon/lib/keys";
import { AnswerRule } from "antiphon/conversation/answer-rule";
import { isolate, nameElement } from "antiphon/lib/names";
import { remember } from "antiphon/lib/storage";
import { PeopleSearch } from "antiphon/conversation/people-search";
import { JoinLinks } from "antiphon/conversation/join-links";
import { initial } from "antiphon/conversation/presence";
import { t } from "antiphon/lib/texts";

/** @typedef {{id: string, name: string, role: string, email?: string, you?: boolean, alike?: boolean}} Member */
/** @typedef {{members: Member[], links: any[], may_manage: boolean, rule: import("antiphon/conversation/answer-rule").Rule, temporary: boolean, directory: boolean}} Shown */

const ROLES = /** @type {Record<string, string>} */ ({ owner: t("Owner"), editor: t("Editor"), viewer: t("Viewer") });

export class PeopleSheet {
  /**
   * @param {any} page what the server put into the page
   * @param {(words: string) => void} say to a screen reader
   */
  constructor(page, say) {
    this.page = page;
    this.say = say;
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("people-button"));
    this.sheet = /** @type {HTMLDialogElement} */ (document.getElementById("people"));
    this.list = this.part(".people-list");
    this.trouble = this.part(".people-trouble");
    /** @type {Shown | null} */
    this.shown = null;
    this.removing = ""; // the member whom the next click on the same button removes
    this.search = new PeopleSearch(this.part(".people-add"), {
      find: (query) => this.find(query),
      add: (who, role) => this.change("add/", { ...who, role }, (shown) => t("{name} was added.", { name: shown.added })),
    });
    this.links = new JoinLinks(this.part(".people-links"), {
      create: (fields) => this.change("links/", fields, () => t("The link was created.")),
      revoke: (id) => this.change(`links/${id}/revoke/`, {}, () => t("The link no longer works.")),
    });
    this.rule = new AnswerRule(this.sheet, page, { say, fail: (words) => this.fail(words) });
    this.part(".people-push").hidden = !page.push;
    for (const [name, isShown] of [["on", page.push?.here], ["off", !page.push?.here]]) this.part(`.push-${name}`).hidden = !isShown;
    this.part("[data-close]").addEventListener("click", () => this.sheet.close());
    this.part("[data-leave]").addEventListener("click", () => this.askToLeave());
    this.part(".people-leave form").addEventListener("submit", (event) => this.leave(event));
    this.list.addEventListener("click", (event) => this.onClick(event));
    this.list.addEventListener("change", (event) => this.onRole(event));
    this.sheet.addEventListener("keydown", (event) => closeOnEscape(event, this.sheet));
    this.sheet.addEventListener("close", () => this.closed());
  }

  /** @param {string} selector @returns {HTMLElement} */
  part(selector) {
    return /** @type {HTMLElement} */ (this.sheet.querySelector(selector));
  }

  get isOpen() {
    return this.sheet.open;
  }

  get url() {
    return `${this.page.urls.root}c/${this.page.conversation_id}/members/`;
  }

  async open() {
    this.fail("");
    this.sheet.showModal();
    this.button.setAttribute("aria-expanded", "true");
    this.part("#people-title").focus();
    await this.load();
  }

  async load() {
    try {
      this.render(await fetchJson(this.url));
    } catch (error) {
      this.fail(/** @type {Error} */ (error).message);
    }
  }

  closed() {
    this.removing = "";
    this.button.setAttribute("aria-expanded", "false");
  }

  /** @param {string} query @returns {Promise<{id: string, name: string}[]>} */
  async find(query) {
    if (!this.shown?.directory) return [];
    return (await fetchJson(`${this.url}?q=${encodeURIComponent(query)}`)).people;
  }

  /**
   * Sends a change, and shows what is so afterwards.
   * @param {string} path @param {Record<string, string>} fields @param {(shown: any) => string} words
   * @returns {Promise<any>} what the server answered; null if it refused
   */
  async change(path, fields, words) {
    this.fail("");
    try {
      const shown = await post(this.url + path, this.page.csrf, fields);
      this.render(shown);
      this.say(words(shown));
      return shown;
    } catch (error) {
      this.fail(/** @type {Error} */ (error).message);
      if (this.shown) this.render(this.shown); // a choice that was refused goes back
      return null;
    }
  }

  /** @param {Shown} shown */
  render(shown) {
    this.shown = shown;
    const active = document.activeElement;
    const focused = /** @type {HTMLElement | null} */ (active?.closest?.(".person"))?.dataset.id;
    const kind = active?.matches("[data-remove]") ? "[data-remove]" : "select";
    this.sheet.toggleAttribute("data-manages", shown.may_manage);
    this.sheet.toggleAttribute("data-temporary", shown.temporary);
    this.list.replaceChildren(...shown.members.map((member) => this.entry(member, shown)));
    this.links.render(shown.links);
    this.rule.render(shown.rule);
    this.search.showHint(shown.directory);
    this.part("[data-leave]").hidden = shown.members.length < 2;
    this.part(".people-leave").hidden = true;
    if (focused) /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-id="${CSS.escape(focused)}"] ${kind}`))?.focus();
  }

  /** @param {Member} member @param {Shown} shown */
  entry(member, shown) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-person"));
    const entry = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (entry.querySelector(selector));
    entry.dataset.id = member.id;
    part(".avatar").textContent = initial(member.name);
    part(".person-name").append(nameElement(member.name), ...(member.you ? [` ${t("(you)")}`] : []));
    part(".person-alike").hidden = !member.alike;
    part(".person-email").textContent = member.email ?? "";
    const select = /** @type {HTMLSelectElement} */ (part("select"));
    select.value = member.role;
    select.setAttribute("aria-label", t("Role of {name}", { name: isolate(member.name) }));
    select.hidden = !shown.may_manage;
    const role = part(".person-role");
    role.textContent = ROLES[member.role];
    role.hidden = shown.may_manage;
    const remove = /** @type {HTMLButtonElement} */ (part("[data-remove]"));
    remove.hidden = !shown.may_manage || Boolean(member.you);
    const sure = this.removing === member.id;
    if (sure) remove.textContent = t("Remove now");
    remove.setAttribute("aria-label", sure ? t("Remove {name} now", { name: isolate(member.name) }) : t("Remove {name}", { name: isolate(member.name) }));
    return entry;
  }

  /** @param {Event} event */
  onRole(event) {
    const select = /** @type {HTMLSelectElement} */ (event.target);
    const entry = /** @type {HTMLElement} */ (select.closest(".person"));
    this.change(`${entry.dataset.id}/role/`, { role: select.value }, () => t("Role: {role}.", { role: ROLES[select.value] }));
  }

  /** The first click asks, the second one removes. @param {Event} event */
  onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-remove]"));
    if (!button) return;
    const entry = /** @type {HTMLElement} */ (button.closest(".person"));
    const name = entry.querySelector(".person-name")?.textContent ?? "";
    if (this.removing !== entry.dataset.id) {
      this.removing = entry.dataset.id ?? "";
      if (this.shown) this.render(this.shown);
      this.say(t("{name} will no longer see this conversation. Choose again to remove.", { name }));
      return;
    }
    this.removing = "";
    this.change(`${entry.dataset.id}/remove/`, {}, () => t("{name} was removed.", { name }));
  }

  /** Shows what leaving means; the only owner chooses who comes next. */
  askToLeave() {
    const members = this.shown?.members ?? [];
    const me = members.find((one) => one.you);
    const mustChoose = me?.role === "owner" && !members.some((one) => !one.you && one.role === "owner");
    const choice = this.part(".people-successor");
    choice.hidden = !mustChoose;
    const select = /** @type {HTMLSelectElement} */ (choice.querySelector("select"));
    const others = mustChoose ? members.filter((one) => !one.you) : [];
    select.replaceChildren(...others.map((one) => new Option(isolate(one.name), one.id)));
    this.part(".people-leave").hidden = false;
    /** @type {HTMLElement} */ (this.part(mustChoose ? ".people-successor select" : ".people-leave button")).focus();
  }

  /** @param {Event} event */
  async leave(event) {
    event.preventDefault();
    const choice = this.part(".people-successor");
    const successor = choice.hidden ? "" : /** @type {HTMLSelectElement} */ (choice.querySelector("select")).value;
    remember("leaving", this.page.conversation_id, "session"); // see gone.js
    try {
      await post(`${this.url}leave/`, this.page.csrf, successor ? { successor } : {});
      location.assign(this.page.urls.root);
    } catch (error) {
      remember("leaving", null, "session");
      this.fail(/** @type {Error} */ (error).message);
    }
  }

  /** @param {string} words empty: nothing is wrong */
  fail(words) {
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
  }
}

