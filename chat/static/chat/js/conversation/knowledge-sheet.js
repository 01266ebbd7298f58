/**
 * The side sheet of a conversation's collections, and the line above the message field that says which are chosen and
 * how far their files are read; on phones it is the button, too. What is chosen is saved at once and counts from the next answer on.
 */

import { showNote } from "antiphon/conversation/status";
import { loadStyles } from "antiphon/files/loader";
import { loadSheetStyles } from "antiphon/lib/sheets";
import { fetchJson, post } from "antiphon/lib/fetch";
import { SideSheet } from "antiphon/lib/side-sheet";
import { recall, remember } from "antiphon/lib/storage";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {{id: string, name: string, description: string, owner?: string, files: number, ready: number, failed: number, embedding?: number, on: boolean}} Collection */
/** @typedef {{collections: Collection[], missing: number, may_change: boolean}} Shown */

const POLL_MS = 3000; // while files are being read

/** @param {Collection} one */
const pendingOf = (one) => one.files - one.ready - one.failed;

/** How far the files of a collection are read. @param {Collection} one */
export function readinessWords(one) {
  if (!one.files) return t("No files yet");
  const words = [pendingOf(one)
    ? tn("{ready} of {count} file ready", "{ready} of {count} files ready", one.files, { ready: one.ready })
    : tn("{count} file", "{count} files", one.files)];
  if (one.failed) words.push(tn("{count} without readable text", "{count} without readable text", one.failed));
  if (one.embedding) words.push(tn("{count} found by words only until it is prepared", "{count} found by words only until they are prepared", one.embedding));
  return words.join(" · ");
}

/** Its dialog. @param {any} page what the server put into the page */
function build(page) {
  const sheet = document.createElement("dialog");
  sheet.className = "parameters knowledge";
  sheet.id = "knowledge";
  sheet.setAttribute("aria-labelledby", "knowledge-title");
  sheet.innerHTML = '<div class="parameters-inner"><header class="parameters-head"><h2 id="knowledge-title" tabindex="-1"></h2><button class="icon-button" type="button" data-close><svg class="icon" aria-hidden="true"><use></use></svg></button></header><div class="parameters-body"><p class="parameters-lead"></p><p class="parameters-trouble" role="alert" hidden></p><ul class="knowledge-list" role="list"></ul><p class="parameter-hint knowledge-missing" hidden></p><p><a class="button" data-sheet></a></p><p class="parameters-status" role="status"></p></div></div>';
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (sheet.querySelector(name));
  part("h2").textContent = t("Knowledge");
  part("[data-close]").setAttribute("aria-label", t("Close"));
  part("use").setAttribute("href", `${page.urls.icons}#close`);
  part(".parameters-lead").textContent = t("Collections of files that answers in this conversation are looked up in, from the next answer on.");
  const link = /** @type {HTMLAnchorElement} */ (part("a"));
  link.href = page.urls.collections;
  link.textContent = t("Your collections");
  document.body.append(sheet);
  return sheet;
}

export class KnowledgeSheet extends SideSheet {
  /** @param {import("antiphon/conversation/conversation").Conversation} conversation @param {HTMLButtonElement} button @param {string} key of the draft */
  constructor(conversation, button, key) {
    super(button, build(conversation.page));
    this.page = conversation.page;
    this.picker = conversation.picker;
    this.key = key;
    this.timer = 0;
    /** @type {Shown | null} */
    this.shown = null;
    this.saving = Promise.resolve();
    this.line = Object.assign(document.createElement("button"), { type: "button", className: "knowledge-line" });
    this.line.toggleAttribute("data-none", true);
    this.line.addEventListener("click", () => this.toggle());
    conversation.composer.form.prepend(this.line);
    this.part(".knowledge-list").addEventListener("change", () => this.choose());
    this.part("a").addEventListener("click", () => this.sheet.close());
    void Promise.all([loadStyles(), loadSheetStyles()]);
    const before = this.picker.onPreset;
    this.picker.onPreset = (preset) => {
      before?.(preset);
      if (!this.page.conversation_id) void this.load();
    };
    conversation.listeners.push((frame) => this.receive(frame));
    void this.load();
  }

  toggle() {
    if (this.isOpen) this.close();
    else this.open();
  }

  get opener() {
    return this.button.offsetParent ? this.button : this.line;
  }

  opened() {
    void this.load();
  }

  get url() {
    const { conversation_id: id, folder, urls } = this.page;
    if (id) return `${urls.root}c/${id}/collections/`;
    return `${urls.root}collections/?${new URLSearchParams({ preset: this.picker.preset?.id ?? "", folder: folder?.id ?? "" })}`;
  }

  /** What is chosen for a conversation that has not begun; null: nothing. @returns {string[] | null} */
  get draft() {
    if (this.page.conversation_id) return null;
    try {
      const found = JSON.parse(recall(this.key, "session") ?? "null");
      return Array.isArray(found) ? found : null;
    } catch {
      return null;
    }
  }

  async load() {
    clearTimeout(this.timer);
    try {
      const shown = /** @type {Shown} */ (await fetchJson(this.url));
      const { draft } = this;
      if (draft) {
        shown.collections = shown.collections.map((one) => ({ ...one, on: draft.includes(one.id) }));
        const kept = draft.filter((id) => shown.collections.some((one) => one.id === id));
        if (kept.length < draft.length) remember(this.key, JSON.stringify(kept), "session"); // one was deleted, or is not shared any more
      }
      this.take(shown);
      this.fail("");
    } catch (error) {
      this.fail(/** @type {Error} */ (error).message);
    }
  }

  /** @param {Shown} shown */
  take(shown) {
    this.shown = shown;
    this.render();
    clearTimeout(this.timer);
    if (this.chosen.some(pendingOf)) this.timer = setTimeout(() => void this.load(), POLL_MS);
  }

  get chosen() {
    return this.shown?.collections.filter((one) => one.on) ?? [];
  }

  render() {
    const { shown } = this;
    if (!shown) return;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.collection;
    this.part(".knowledge-list").replaceChildren(...shown.collections.map((one) => this.item(one, shown.may_change)));
    if (focused) /** @type {HTMLElement | null} */ (this.sheet.querySelector(`[data-collection="${CSS.escape(focused)}"]`))?.focus();
    const missing = this.part(".knowledge-missing");
    missing.textContent = tn("{count} collection that was chosen is not available to you, and is left out for your questions.", "{count} collections that were chosen are not available to you, and are left out for your questions.", shown.missing);
    missing.hidden = !shown.missing;
    const { chosen } = this;
    this.button.toggleAttribute("data-changed", chosen.length + shown.missing > 0);
    this.button.setAttribute("aria-label", chosen.length ? tn("Knowledge, {count} collection", "Knowledge, {count} collections", chosen.length) : t("Knowledge"));
    const names = chosen.map((one) => (pendingOf(one) || !one.files ? `${one.name} (${readinessWords(one)})` : one.name));
    this.line.textContent = names.length ? t("Knowledge: {names}", { names: names.join(", ") }) : t("Knowledge: nothing chosen");
    this.line.toggleAttribute("data-none", !names.length);
  }

  /** @param {Collection} one @param {boolean} mayChange */
  item(one, mayChange) {
    const item = document.createElement("li");
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: one.on, disabled: !mayChange });
    box.dataset.collection = one.id;
    const words = document.createElement("span");
    words.append(Object.assign(document.createElement("span"), { className: "tool-title", dir: "auto", textContent: one.name }));
    const by = one.owner ? t("by {name}", { name: one.owner }) : "";
    for (const text of [one.description, [readinessWords(one), by].filter(Boolean).join(" · ")]) {
      if (text) words.append(Object.assign(document.createElement("span"), { className: "parameter-hint", dir: "auto", textContent: text }));
    }
    label.append(box, words);
    item.append(label);
    return item;
  }

  choose() {
    const { shown } = this;
    if (!shown) return;
    const ids = /** @type {HTMLInputElement[]} */ ([...this.sheet.querySelectorAll("[data-collection]")]).filter((box) => box.checked).map((box) => box.dataset.collection ?? "");
    if (!this.page.conversation_id) {
      remember(this.key, JSON.stringify(ids), "session");
      this.take({ ...shown, collections: shown.collections.map((one) => ({ ...one, on: ids.includes(one.id) })) });
      this.part(".parameters-status").textContent = t("Will be sent with your message");
      return;
    }
    this.saving = this.saving.then(() => this.save(ids));
  }

  /** @param {string[]} ids */
  async save(ids) {
    const status = this.part(".parameters-status");
    status.textContent = t("Saving…");
    try {
      this.take(await post(this.url, this.page.csrf, { collections: JSON.stringify(ids) }));
      this.fail("");
      status.textContent = t("Saved");
    } catch (error) {
      status.textContent = "";
      this.fail(t("Not saved. {reason}", { reason: /** @type {Error} */ (error).message }));
      this.render();
    }
  }

  /** @param {import("antiphon/wire/protocol").Frame} frame */
  receive(frame) {
    const { page } = this;
    if (frame.type === "message.accepted") {
      this.warn();
      queueMicrotask(() => this.begun()); // when the page has its id
    } else if (frame.type === "conversation.updated" && frame.conversation_id === page.conversation_id && frame.collections) {
      const ids = new Set(frame.collections);
      const known = this.shown?.collections ?? [];
      if (this.shown && known.some((one) => one.on !== ids.has(one.id))) this.saving = this.saving.then(() => this.load());
    }
  }

  /** A message was sent while files are being read: the answer does without them. */
  warn() {
    const waiting = this.chosen.filter(pendingOf);
    if (!waiting.length) return;
    const [files, ready] = [waiting.reduce((sum, one) => sum + one.files, 0), waiting.reduce((sum, one) => sum + one.ready, 0)];
    showNote(tn("{ready} of {count} file of “{names}” is ready. The answer does without the others.", "{ready} of {count} files of “{names}” are ready. The answer does without the others.", files, { ready, names: waiting.map((one) => one.name).join(", ") }));
  }

  /** The conversation has begun, with what was chosen. */
  begun() {
    if (!this.page.conversation_id || recall(this.key, "session") === null) return;
    remember(this.key, null, "session");
    this.part(".parameters-status").textContent = "";
    void this.load();
  }
}
