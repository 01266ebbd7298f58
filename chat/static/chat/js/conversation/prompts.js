/**
 * The prompt library in the message field: a slash at its start opens a list, and choosing one inserts its text. The
 * field stays a text field with several lines, which cannot be a combobox: it names the list and its active option, and
 * a status says how many fit.
 */

import { fetchJson } from "antiphon/lib/fetch";
import { isComposing } from "antiphon/lib/keys";
import { fill, fitting, promptEntry, queryAt } from "antiphon/conversation/prompt-list";
import { showNote } from "antiphon/conversation/status";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/prompt-list").PromptEntry} PromptEntry */

const CHUNK = 50; // rows that are made at once
const PAGE = 6; // rows of PageUp and PageDown
const COUNT_MS = 400; // after the last key, so that a screen reader is not interrupted by each

export class Prompts {
  /** @param {import("antiphon/conversation/composer").Composer} composer @param {any} page what the server put into the page */
  constructor(composer, page) {
    this.composer = composer;
    this.field = composer.field;
    this.urls = page.urls;
    this.csrf = page.csrf;
    this.hasServers = Boolean(page.tools?.prompts);
    this.popup = element("prompts");
    this.list = element("prompts-list");
    this.note = /** @type {HTMLElement} */ (this.popup.querySelector(".prompts-note"));
    this.count = /** @type {HTMLElement} */ (this.popup.querySelector("[role=status]"));
    /** @type {import("antiphon/conversation/prompt-form").PromptForm | null} */
    this.form = null;
    /** @type {PromptEntry[]} */
    this.all = [];
    /** @type {PromptEntry[]} */
    this.shown = [];
    this.active = -1;
    this.loaded = false;
    /** @type {Promise<void> | null} */
    this.loading = null;
    this.trouble = "";
    this.dismissed = false; // by Escape or a choice, until the text begins anew
    this.counting = 0;
    this.field.addEventListener("input", () => this.look());
    this.field.addEventListener("click", () => this.look());
    this.field.addEventListener("blur", () => this.close());
    // On its way down: the composer would send the text, others would stop the answer.
    composer.form.addEventListener("keydown", (event) => this.onKey(event), { capture: true });
    this.popup.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the field
    this.list.addEventListener("click", (event) => this.pick(indexOf(event.target)));
    this.list.addEventListener("pointermove", (event) => {
      const at = event.pointerType === "mouse" ? indexOf(event.target) : -1;
      if (at >= 0 && at !== this.active) this.activate(at, false);
    });
    this.list.addEventListener("scroll", () => this.fillView());
  }

  get isOpen() {
    return !this.popup.hidden;
  }

  get query() {
    const { selectionStart, selectionEnd, value } = this.field;
    return selectionStart === selectionEnd ? queryAt(value, selectionStart) : null;
  }

  /** Opens, filters or closes the list, as the text asks. */
  look() {
    if (!this.field.value.startsWith("/") || this.field.value === "/") this.dismissed = false;
    const { query } = this;
    if (query === null || this.dismissed || document.activeElement !== this.field) return this.close();
    // One at a time: each letter asks while the list is not there yet, and a later answer would empty it for a moment.
    if (!this.isOpen) this.loading ??= this.load().finally(() => (this.loading = null));
    return this.show(query);
  }

  /** Asks for the list; the browser has it already unless it has changed. */
  async load() {
    try {
      const { prompts } = await fetchJson(this.urls.prompts);
      this.all = [...prompts.map(promptEntry), ...this.all.filter(({ prompt }) => prompt.server)];
      this.loaded = true;
      this.trouble = "";
    } catch (error) {
      this.trouble = /** @type {Error} */ (error).message;
    }
    this.showAgain();
    if (!this.hasServers) return;
    const { loadServerPrompts } = await import("antiphon/conversation/server-prompts");
    const own = this.all.filter(({ prompt }) => !prompt.server);
    const more = await loadServerPrompts(this.urls.root, own.length);
    const had = this.all.length > own.length;
    this.all = [...own, ...more];
    if (more.length || had) this.showAgain();
  }

  showAgain() {
    const { query } = this;
    if (query !== null && !this.dismissed && document.activeElement === this.field) this.show(query);
  }

  /** @param {string} query */
  show(query) {
    if (!this.loaded && !this.trouble) return; // it is shown when it has come
    const before = this.shown[this.active]?.value;
    this.shown = fitting(this.all, query);
    // A text that only begins with a slash, and names no prompt, is not to be disturbed.
    if (!this.shown.length && query) return void this.close();
    this.list.replaceChildren();
    this.make(CHUNK);
    this.list.hidden = !this.shown.length;
    this.note.textContent = this.trouble || (this.shown.length ? "" : this.note.dataset.none ?? "");
    this.note.hidden = !this.note.textContent;
    if (!this.isOpen) {
      this.popup.hidden = false;
      this.field.setAttribute("aria-controls", this.list.id);
    }
    const same = query ? -1 : this.shown.findIndex((entry) => entry.value === before);
    this.activate(this.shown.length ? Math.max(0, same) : -1, true);
    clearTimeout(this.counting);
    this.counting = window.setTimeout(() => {
      const { length } = this.shown;
      this.count.textContent = this.note.textContent || (tn("{count} prompt", "{count} prompts", length));
    }, COUNT_MS);
  }

  close() {
    if (!this.isOpen) return;
    this.popup.hidden = true;
    clearTimeout(this.counting);
    this.count.textContent = "";
    this.shown = [];
    this.active = -1;
    this.field.removeAttribute("aria-controls");
    this.field.removeAttribute("aria-activedescendant");
  }

  /** Makes the rows of the first `count` prompts. @param {number} count */
  make(count) {
    const end = Math.min(count, this.shown.length);
    for (let at = this.list.children.length; at < end; at += 1) {
      const { prompt } = this.shown[at];
      const row = document.createElement("div");
      row.role = "option";
      row.id = `prompt-${at}`;
      row.className = "prompt";
      row.dataset.index = String(at);
      row.ariaSelected = "false";
      row.ariaPosInSet = String(at + 1);
      row.ariaSetSize = String(this.shown.length);
      row.append(part("prompt-name", `/${prompt.name}`), part("prompt-title", prompt.title), part("prompt-owner", origin(prompt)));
      row.ariaLabel = [prompt.name, prompt.title, origin(prompt)].filter(Boolean).join(", ");
      this.list.append(row);
    }
  }

  fillView() {
    const { scrollTop, clientHeight, scrollHeight, children } = this.list;
    if (children.length < this.shown.length && scrollTop + clientHeight + 200 > scrollHeight) this.make(children.length + CHUNK);
  }

  /** @param {number} index @param {boolean} scroll brings it into view */
  activate(index, scroll) {
    const before = /** @type {HTMLElement | undefined} */ (this.list.children[this.active]);
    if (before) before.ariaSelected = "false";
    this.active = index;
    if (index >= this.list.children.length) this.make(index + CHUNK);
    const row = /** @type {HTMLElement | undefined} */ (this.list.children[index]);
    if (!row) return this.field.removeAttribute("aria-activedescendant");
    row.ariaSelected = "true";
    this.field.setAttribute("aria-activedescendant", row.id);
    if (scroll) row.scrollIntoView({ block: "nearest" });
    return undefined;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!this.isOpen || event.target !== this.field || isComposing(event) || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.shown.length - 1;
    const { active } = this;
    if (event.key === "Escape") {
      this.dismissed = true;
      this.close();
    } else if (last < 0) return;
    else if (event.key === "ArrowDown") this.activate(active >= last ? 0 : active + 1, true);
    else if (event.key === "ArrowUp") this.activate(active <= 0 ? last : active - 1, true);
    else if (event.key === "PageDown") this.activate(Math.min(last, active + PAGE), true);
    else if (event.key === "PageUp") this.activate(Math.max(0, active - PAGE), true);
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) this.pick(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} index */
  async pick(index) {
    const prompt = this.shown[index]?.prompt;
    if (!prompt) return;
    this.close();
    this.dismissed = true;
    if (prompt.server) return this.askServer(prompt);
    try {
      const { pieces, variables } = await fetchJson(`${this.urls.prompt_root}${prompt.id}/pieces/`);
      if (variables.length) await this.ask(prompt.title || `/${prompt.name}`, variables, (values) => this.insert(fill(pieces, values, new Date())));
      else this.insert(fill(pieces, new Map(), new Date()));
    } catch (error) {
      showNote(/** @type {Error} */ (error).message);
    }
  }

  /** @param {string} title @param {import("antiphon/conversation/prompt-form").Variable[]} variables @param {(values: Map<string, string>) => void} done */
  async ask(title, variables, done) {
    const { PromptForm } = await import("antiphon/conversation/prompt-form");
    this.form ??= new PromptForm(/** @type {HTMLDialogElement} */ (element("prompt-form")));
    this.form.ask(title, variables, done);
  }

  /** Has a tool server fill in its prompt. @param {import("antiphon/conversation/prompt-list").Prompt} prompt */
  async askServer(prompt) {
    const { fillIn, variablesOf } = await import("antiphon/conversation/server-prompts");
    const insert = async (/** @type {Map<string, string>} */ values) => {
      try {
        this.insert(await fillIn(this.urls.root, this.csrf, prompt.asks, values));
      } catch (error) {
        showNote(/** @type {Error} */ (error).message);
      }
    };
    const variables = variablesOf(prompt.asks);
    if (variables.length) await this.ask(prompt.title || `/${prompt.name}`, variables, insert);
    else await insert(new Map());
  }

  /** Puts the text where the slash and the name are. @param {string} text */
  insert(text) {
    const { field } = this;
    const typed = /^\/[^\s/]*/u.exec(field.value)?.[0] ?? "";
    field.focus();
    field.setRangeText(text, 0, typed.length, "end");
    this.dismissed = true; // the text may begin with a slash itself
    this.composer.changed();
    field.scrollTop = field.scrollHeight;
  }
}

/** Whose it is, if not the user's own. @param {import("antiphon/conversation/prompt-list").Prompt} prompt */
function origin({ owner, server }) {
  return owner ? t("by {name}", { name: owner }) : server ? t("from {server}", { server }) : "";
}

/** @param {string} name @param {string} text */
function part(name, text) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

/** @param {EventTarget | null} target */
function indexOf(target) {
  const row = /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest("[role=option]"));
  return row ? Number(row.dataset.index) : -1;
}

/** @param {string} id */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
