/**
 * The search sheet: a combobox with a listbox (ARIA's pattern). The focus stays in the field; the active option is named
 * by `aria-activedescendant`. Commands fit at once, titles and messages come from the server as one types.
 */

import { isComposing } from "antiphon/lib/keys";
import { FetchError, fetchJson } from "antiphon/lib/fetch";
import { tn } from "antiphon/lib/texts";
import { carryOut, commandsFor } from "antiphon/search/commands";
import { buildGroup } from "antiphon/search/results";

/** @typedef {import("antiphon/search/results").Entry} Entry */

const TYPING_MS = 150;
const COUNT_MS = 500; // after the last change, until the number of results is announced
const PAGE = 6; // rows that Page Up and Page Down move by

export class SearchSheet {
  /** @param {import("antiphon/search/open").Search} search */
  constructor(search) {
    this.search = search;
    this.page = search.conversation.page;
    this.element = /** @type {HTMLDialogElement} */ (document.getElementById("search"));
    this.field = /** @type {HTMLInputElement} */ (this.element.querySelector("[role=combobox]"));
    this.box = /** @type {HTMLElement} */ (this.element.querySelector("[role=listbox]"));
    this.empty = /** @type {HTMLElement} */ (this.element.querySelector(".choices-empty"));
    this.trouble = /** @type {HTMLElement} */ (this.element.querySelector(".choices-trouble"));
    this.count = /** @type {HTMLElement} */ (this.element.querySelector("[role=status]"));
    this.filters = /** @type {HTMLFormElement} */ (document.getElementById("search-filters"));
    /** @type {Entry[]} */
    this.entries = [];
    /** What the server found last. @type {{titles: any[], messages: any[], similar: boolean}} */
    this.found = { titles: [], messages: [], similar: false };
    this.active = -1;
    this.timer = 0;
    this.asking = new AbortController();
    this.field.addEventListener("input", () => this.typed());
    this.field.addEventListener("keydown", (event) => this.onKey(event));
    this.filters.addEventListener("change", () => this.typed());
    this.filters.addEventListener("reset", () => setTimeout(() => this.typed()));
    this.filters.addEventListener("submit", (event) => event.preventDefault());
    const opener = /** @type {HTMLElement} */ (this.element.querySelector("[data-filters]"));
    opener.addEventListener("click", () => {
      this.filters.hidden = !this.filters.hidden;
      opener.ariaExpanded = String(!this.filters.hidden);
    });
    this.box.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the field
    this.box.addEventListener("click", (event) => this.choose(this.at(event), event));
    this.box.addEventListener("pointermove", (event) => {
      const at = this.at(event);
      if (at >= 0 && event.pointerType === "mouse") this.activate(at, false);
    });
    this.element.addEventListener("close", () => this.asking.abort());
  }

  open() {
    if (this.element.open) return;
    const models = /** @type {HTMLSelectElement} */ (this.filters.elements.namedItem("model"));
    const chosen = models.value;
    models.replaceChildren(models.options[0], ...this.search.conversation.picker.models.map((/** @type {any} */ one) => new Option(one.label, one.id)));
    models.value = chosen;
    this.element.showModal();
    this.field.select();
    this.field.focus();
    this.typed(0);
  }

  /** @param {number} [after] */
  typed(after = TYPING_MS) {
    clearTimeout(this.timer);
    this.asking.abort();
    const query = this.field.value.trim();
    if (!query) this.found = { titles: [], messages: [], similar: false };
    this.draw(!query);
    if (query) this.timer = setTimeout(() => this.ask(query), after);
  }

  /** @param {string} query */
  async ask(query) {
    this.asking = new AbortController();
    const { signal } = this.asking;
    const asked = new URLSearchParams({ q: query });
    for (const [name, value] of new FormData(this.filters)) if (value) asked.set(name, String(value));
    this.box.ariaBusy = "true";
    try {
      const found = await fetchJson(`${this.page.urls.search}?${asked}`, signal);
      if (signal.aborted) return;
      this.found = found;
      this.fail("");
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof FetchError)) throw error;
      this.found = { titles: [], messages: [], similar: false };
      this.fail(error.message);
    }
    this.box.ariaBusy = null;
    this.draw(true);
  }

  /** @param {string} words empty: there is no trouble */
  fail(words) {
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
  }

  /** Shows commands and what was found; the active option stays active if it is still there. @param {boolean} isWhole */
  draw(isWhole) {
    const before = this.active > 0 ? this.entries[this.active]?.key : undefined;
    const { commands = "", titles = "", messages = "", similar = "", you = "", answer = "" } = this.box.dataset;
    const own = commandsFor(this.search, this.field.value);
    const words = { you: this.page.user.name, shown: you, answer };
    const groups = [
      buildGroup("commands", commands, own.map((element) => ({ kind: "command", element })), words),
      buildGroup("titles", titles, this.found.titles.map((one) => ({ kind: "title", ...one })), words),
      buildGroup("messages", this.found.similar ? similar : messages, this.found.messages.map((one) => ({ kind: "message", ...one })), words),
    ].filter((group) => group.entries.length);
    this.entries = groups.flatMap((group) => group.entries);
    this.box.replaceChildren(...groups.map((group) => group.element));
    this.empty.hidden = this.entries.length > 0 || !isWhole || !this.trouble.hidden;
    this.active = -1;
    const at = before ? this.entries.findIndex((entry) => entry.key === before) : 0;
    this.activate(Math.max(0, at), true);
    clearTimeout(this.counting);
    if (isWhole) this.counting = setTimeout(() => this.announceCount(), COUNT_MS);
  }

  announceCount() {
    const { length } = this.entries;
    this.count.textContent = tn("{count} result", "{count} results", length);
  }

  /** @param {number} at @param {boolean} scrolls */
  activate(at, scrolls) {
    const entry = this.entries[at];
    const old = this.entries[this.active];
    old?.row.classList.remove("is-active");
    old?.row.setAttribute("aria-selected", "false");
    this.active = entry ? at : -1;
    if (!entry) return void this.field.removeAttribute("aria-activedescendant");
    entry.row.classList.add("is-active");
    entry.row.setAttribute("aria-selected", "true");
    this.field.setAttribute("aria-activedescendant", entry.row.id);
    if (scrolls) entry.row.scrollIntoView({ block: "nearest" });
    return undefined;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (isComposing(event)) return;
    const { length } = this.entries;
    const last = length - 1;
    if (event.key === "Enter") this.choose(this.active, event);
    else if (!length) return;
    else if (event.key === "ArrowDown") this.activate((this.active + 1) % length, true);
    else if (event.key === "ArrowUp") this.activate((this.active + last) % length, true);
    else if (event.key === "PageDown") this.activate(Math.min(last, this.active + PAGE), true);
    else if (event.key === "PageUp") this.activate(Math.max(0, this.active - PAGE), true);
    else return;
    event.preventDefault();
  }

  /** @param {Event} event */
  at(event) {
    const row = /** @type {Element} */ (event.target).closest("[role=option]");
    return this.entries.findIndex((entry) => entry.row === row);
  }

  /** @param {number} at @param {MouseEvent | KeyboardEvent} event */
  choose(at, event) {
    const entry = this.entries[at];
    if (!entry) return;
    const { item } = entry;
    const apart = event.ctrlKey || event.metaKey; // in another tab
    if (item.kind === "command") {
      this.element.close();
      carryOut(this.search, item.element);
      return;
    }
    const id = item.kind === "title" ? item.id : item.conversation_id;
    const isHere = id === this.page.conversation_id;
    if (isHere && !apart) {
      this.element.close();
      if (item.kind === "message") void this.search.jumps.tell(this.search.jumps.toMessage(item.id, this.field.value));
      return;
    }
    const query = new URLSearchParams(item.kind === "message" ? { message: item.id, q: this.field.value.trim() } : {});
    const url = `${this.page.urls.root}c/${id}/${query.size ? `?${query}` : ""}`;
    if (apart) window.open(url, "_blank", "noopener");
    else {
      this.element.close();
      location.assign(url);
    }
  }
}
