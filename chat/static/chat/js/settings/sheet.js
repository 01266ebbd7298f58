/**
 * The settings as one sheet over the page. Each section and each page below one has its own address, which the server
 * answers with a whole page; the sheet shows the part of it that matters. Links and forms in the sheet stay in it,
 * unless they lead elsewhere or say `data-native`. The browser's "back" goes to the section before, and in the end closes.
 */

import { t } from "antiphon/lib/texts";
import { startSection } from "antiphon/settings/sections";

const FAILED = t("Something went wrong. Try again.");
const BACK = [".account", "[data-action=open-sidebar]", "#text"]; // where the focus goes if what opened them is hidden
const AWAY = t("The server can’t be reached. Try again in a moment.");

export class SettingsSheet {
  /** @param {any} page what the server put into the page */
  constructor(page) {
    this.page = page;
    this.depth = 0; // entries of the history that are ours, up to the one that is shown
    this.shown = false;
    this.wanted = 0; // the number of the last request: an earlier answer is not shown
    this.styles = this.loadStyles();
    this.element = document.createElement("dialog");
    this.element.className = "settings-sheet";
    this.element.id = "settings-sheet";
    this.element.setAttribute("aria-labelledby", "settings-sheet-title");
    this.element.innerHTML = `<header><h2 id="settings-sheet-title">${t("Settings")}</h2><button class="icon-button" type="button" aria-label="${t("Close")}" title="${t("Close")}"><svg class="icon" aria-hidden="true"><use href="${page.urls.icons}#close"></use></svg></button></header><p class="settings-trouble" role="alert" hidden></p><div class="settings"></div><p class="visually-hidden" role="status"></p>`;
    this.trouble = /** @type {HTMLElement} */ (this.element.querySelector(".settings-trouble"));
    this.content = /** @type {HTMLElement} */ (this.element.querySelector(".settings"));
    this.status = /** @type {HTMLElement} */ (this.element.querySelector("[role=status]"));
    /** @type {HTMLElement} */ (this.element.querySelector("header button")).addEventListener("click", () => this.close());
    this.element.addEventListener("cancel", (event) => {
      if (event.target !== this.element) return;
      event.preventDefault();
      this.close();
    });
    this.element.addEventListener("close", () => {
      if (this.shown) this.close(); // some browsers close a dialog at the second Escape, whatever the page says
    });
    this.element.addEventListener("click", (event) => this.onClick(event));
    this.element.addEventListener("submit", (event) => this.onSubmit(event));
    document.body.append(this.element);
  }

  /** The style sheets of the settings, which the page has not loaded. @returns {Promise<unknown>} */
  loadStyles() {
    const urls = /** @type {string[]} */ (this.page.urls.settings_sheets.split(" "));
    return Promise.all(urls.map((url) => new Promise((resolve, reject) => {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = url;
      link.addEventListener("load", resolve);
      link.addEventListener("error", reject);
      document.head.append(link);
    })));
  }

  /** @param {string} url */
  open(url) {
    this.opener = /** @type {HTMLElement | null} */ (document.activeElement);
    void this.go(url);
  }

  /** Shows an address and makes it an entry of the history. @param {string} url */
  async go(url) {
    const found = await this.fetch(url);
    if (!found) return;
    this.enter(found.url);
    this.show(found.piece);
  }

  /** @param {string} url */
  enter(url) {
    if (this.depth && url === location.href) return;
    this.depth += 1;
    history.pushState({ settings: this.depth }, "", url);
  }

  /** The browser went back or forth. */
  async followHistory() {
    const depth = history.state?.settings ?? 0;
    if (!depth) return this.hide();
    this.depth = depth;
    const found = await this.fetch(location.href);
    if (found) this.show(found.piece);
    return undefined;
  }

  /**
   * The part of a page that the sheet shows, and the address that it has in the end. Leaves this page for what is no
   * page of the settings. @param {string} url @param {RequestInit} [options]
   */
  async fetch(url, options) {
    const mine = ++this.wanted;
    this.content.ariaBusy = "true";
    this.fail("");
    try {
      await this.styles;
      const response = await fetch(url, { headers: { Accept: "text/html" }, ...options });
      const text = await response.text();
      if (mine !== this.wanted) return null;
      const piece = new DOMParser().parseFromString(text, "text/html").getElementById("settings");
      if (piece) return { piece, url: options && !response.redirected ? location.href : response.url };
      if (response.ok) location.assign(options?.method === "POST" && !response.redirected ? this.page.urls.settings : response.url);
      else this.fail(response.status === 429 ? t("You’ve done this too often. Wait a moment, then try again.") : FAILED);
    } catch {
      if (mine === this.wanted) this.fail(AWAY);
    } finally {
      if (mine === this.wanted) this.content.ariaBusy = null;
    }
    return null;
  }

  /** @param {string} words empty: there is no trouble */
  fail(words) {
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
    if (words) this.showElement();
  }

  showElement() {
    this.shown = true;
    if (!this.element.open) this.element.showModal();
  }

  /** @param {HTMLElement} piece @param {boolean} [isSame] what was shown, as it is now: the focus stays where it can */
  show(piece, isSame = false) {
    const focused = isSame ? document.activeElement?.id : "";
    const said = [...piece.querySelectorAll(".form-messages li, .field-error")].map((one) => one.textContent?.trim()).join(" ");
    const top = isSame ? this.content.querySelector(".settings-body")?.scrollTop : 0;
    this.content.replaceChildren(...piece.childNodes);
    this.showElement();
    const body = this.content.querySelector(".settings-body");
    if (body && top) body.scrollTop = top;
    startSection(this.content, () => void this.reload(), this.page.socket);
    const heading = this.content.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    const kept = focused ? document.getElementById(focused) : null;
    (kept ?? /** @type {HTMLElement | null} */ (this.content.querySelector("[aria-invalid=true]")) ?? heading)?.focus({ preventScroll: Boolean(kept) });
    if (said) this.status.textContent = said; // after the focus has moved
    dispatchEvent(new Event("antiphon:settings-shown"));
  }

  /** Shows the same address again. */
  async reload() {
    if (!this.element.open) return;
    const found = await this.fetch(location.href);
    if (found) this.show(found.piece, true);
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const target = /** @type {Element} */ (event.target);
    if (target === this.element) {
      event.stopPropagation();
      return void this.close(); // a click beside it
    }
    const link = /** @type {HTMLAnchorElement | null} */ (target.closest("a[href]"));
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return undefined;
    if (link.origin !== location.origin || link.target || link.hasAttribute("download") || link.hasAttribute("data-native")) return undefined;
    const { root } = this.page.urls;
    if (link.pathname === root || link.pathname.startsWith(`${root}c/`) || link.pathname.startsWith(`${root}admin/`)) return undefined;
    event.preventDefault();
    void this.go(link.href);
    return undefined;
  }

  /** @param {SubmitEvent} event */
  onSubmit(event) {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (event.defaultPrevented || form.hasAttribute("data-native")) return;
    const action = new URL(event.submitter?.getAttribute("formaction") ?? form.getAttribute("action") ?? location.href, location.href);
    if (action.origin !== location.origin) return;
    event.preventDefault();
    const fields = new FormData(form, event.submitter);
    const query = new URLSearchParams(/** @type {Record<string, string>} */ (Object.fromEntries(fields)));
    if (form.getAttribute("method")?.toLowerCase() !== "post") void this.go(`${action.origin}${action.pathname}?${query}`);
    else void this.post(action.href, form.getAttribute("enctype") === "multipart/form-data" ? fields : new URLSearchParams(/** @type {any} */ ([...fields])));
  }

  /** @param {string} url @param {FormData | URLSearchParams} body */
  async post(url, body) {
    const found = await this.fetch(url, { method: "POST", body });
    if (!found) return;
    this.enter(found.url);
    this.show(found.piece);
  }

  /** Closes the sheet: the page's own address again. */
  close() {
    if (this.depth && history.state?.settings) history.go(-this.depth); // `followHistory` hides it
    else this.hide();
  }

  hide() {
    this.wanted += 1;
    this.depth = 0;
    if (!this.shown) return;
    this.shown = false;
    this.element.close();
    this.content.replaceChildren();
    this.fail("");
    if (this.page.address) history.replaceState(null, "", this.page.address); // a conversation that began meanwhile
    delete this.page.address;
    const places = [this.opener, ...BACK.map((one) => document.querySelector(one))];
    const place = places.find((one) => one?.isConnected && one.checkVisibility({ visibilityProperty: true }) && !one.closest("[inert]"));
    /** @type {HTMLElement | null | undefined} */ (place)?.focus();
  }
}
