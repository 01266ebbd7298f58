/**
 * The side sheet of a conversation's tools: what models may use. What is switched is saved at once and counts from the
 * next answer on. Before the first message it is kept in this tab, and goes with that message. Loaded with the first press
 * of its button.
 */

import { fetchJson, post } from "antiphon/lib/fetch";
import { SideSheet } from "antiphon/lib/side-sheet";
import { remember } from "antiphon/lib/storage";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {{key: string, server: string, server_title: string, title: string, description: string, effect: string, by_default: boolean, on: boolean}} Tool */
/**
 * @typedef {{tools: Tool[], chosen: string[] | null, usual: string[] | null, preset: string, missing: number, may_change: boolean,
 *   stopped: string | null}} Shown `usual`: what the preset says; null: those that are on by default
 */

const SEARCH_WEB = "search_web";

export class ToolsSheet extends SideSheet {
  /** @param {import("antiphon/conversation/tools").Tools} owner */
  constructor(owner) {
    super(owner.button, /** @type {HTMLDialogElement} */ (document.getElementById("tools")));
    this.owner = owner;
    this.page = owner.page;
    this.picker = owner.picker;
    this.key = owner.key;
    this.list = this.part(".tools-list");
    this.status = this.part(".parameters-status");
    /** The parts below the list, which are loaded when the sheet opens first. @type {{load: () => Promise<unknown>}[] | null} */
    this.parts = null;
    /** @type {Shown | null} */
    this.shown = null;
    this.saving = Promise.resolve();
    this.part("[data-reset-all]").addEventListener("click", () => this.choose(null));
    this.list.addEventListener("change", () => this.choose(this.checked()));
  }

  opened() {
    void this.load();
  }

  get url() {
    const { conversation_id: id, urls } = this.page;
    return id ? `${urls.root}c/${id}/tools/` : `${urls.root}tools/?preset=${encodeURIComponent(this.picker.preset?.id ?? "")}`;
  }

  async load() {
    try {
      this.take(await fetchJson(this.url));
      this.parts ??= await this.loadParts();
      await Promise.all(this.parts.map((part) => part.load()));
      this.fail("");
    } catch (error) {
      this.fail(/** @type {Error} */ (error).message);
    }
  }

  async loadParts() {
    const [{ AllowedTools }, { ToolRules }] = await Promise.all([
      import("antiphon/conversation/allowed-tools"),
      import("antiphon/conversation/tool-rules"),
    ]);
    const allowed = new AllowedTools(this.part(".tools-allowed"), this.page, (words) => this.fail(words));
    return [allowed, new ToolRules(this.part(".tools-rules"), this.page, (words) => (this.status.textContent = words))];
  }

  /** @param {Shown} shown */
  take(shown) {
    const { draft } = this.owner;
    this.shown = draft === null ? shown : { ...shown, ...this.choice(shown, draft) };
    this.render();
  }

  /** What is on with these keys; null: the usual ones. @param {Shown} shown @param {string[] | null} keys */
  choice(shown, keys) {
    const chosen = keys ?? shown.usual;
    return { chosen, missing: keys ? 0 : shown.missing, tools: shown.tools.map((tool) => ({ ...tool, on: chosen ? chosen.includes(tool.key) : tool.by_default })) };
  }

  render() {
    const { shown } = this;
    if (!shown) return;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.key;
    this.sheet.toggleAttribute("data-viewer", !shown.may_change);
    const servers = [...new Set(shown.tools.map((tool) => tool.server))];
    this.list.replaceChildren(...servers.map((server) => this.section(shown.tools.filter((tool) => tool.server === server))));
    for (const box of this.boxes) if (box.dataset.key === focused) box.focus();
    this.part(".tools-none").hidden = shown.tools.length > 0 || Boolean(shown.stopped);
    const stopped = this.part(".tools-stopped");
    stopped.textContent = shown.stopped ?? "";
    stopped.hidden = !shown.stopped;
    /** @type {HTMLButtonElement} */ (this.part("[data-reset-all]")).disabled = JSON.stringify(shown.chosen) === JSON.stringify(shown.usual) && this.owner.draft === null;
    const preset = this.part(".tools-preset");
    preset.textContent = (preset.dataset.words ?? "").replace("%(name)s", shown.preset);
    preset.hidden = !shown.preset || JSON.stringify(shown.chosen) !== JSON.stringify(shown.usual);
    const missing = this.part(".tools-missing");
    missing.textContent = tn("{count} tool that was chosen is not available to you, and is left out for your questions.", "{count} tools that were chosen are not available to you, and are left out for your questions.", shown.missing);
    missing.hidden = !shown.missing;
    this.owner.mark(shown.chosen !== null);
    const model = this.part(".tools-model");
    const chosen = this.picker.asked;
    model.hidden = chosen?.tools !== false;
    model.textContent = (model.dataset.words ?? "").replace("%(model)s", chosen?.label ?? "");
  }

  /** @param {Tool[]} tools of one server */
  section(tools) {
    const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-tools")).content;
    const made = /** @type {HTMLElement} */ (blank.querySelector("section")?.cloneNode(true));
    const title = /** @type {HTMLElement} */ (made.querySelector("h3"));
    title.textContent = tools[0].server_title || "Antiphon";
    made.querySelector("ul")?.append(...tools.map((tool) => {
      const item = /** @type {HTMLElement} */ (blank.querySelector("li")?.cloneNode(true));
      const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (item.querySelector(name));
      const box = /** @type {HTMLInputElement} */ (part("input"));
      part(".tool-title").textContent = tool.title;
      part(".parameter-hint").textContent = tool.description;
      part(".tool-writes").hidden = tool.effect !== "writes";
      part(".tool-default").hidden = !tool.by_default || tool.key === SEARCH_WEB;
      part(".tool-web").hidden = tool.key !== SEARCH_WEB;
      box.hidden = tool.key === SEARCH_WEB; // the switch beside the message field decides
      box.checked = tool.on;
      box.disabled = !this.shown?.may_change;
      box.dataset.key = tool.key;
      return item;
    }));
    return made;
  }

  get boxes() {
    return /** @type {HTMLInputElement[]} */ ([...this.list.querySelectorAll("input")]);
  }

  checked() {
    return this.boxes.filter((box) => box.checked).map((box) => box.dataset.key ?? "");
  }

  /** @param {string[] | null} keys null: those that are on by default */
  choose(keys) {
    if (!this.shown) return;
    if (!this.page.conversation_id) {
      remember(this.key, keys && JSON.stringify(keys), "session");
      this.take({ ...this.shown, ...this.choice(this.shown, keys) });
      this.status.textContent = t("Will be sent with your message");
      return;
    }
    this.saving = this.saving.then(() => this.save(keys));
  }

  /** @param {string[] | null} keys */
  async save(keys) {
    this.status.textContent = t("Saving…");
    try {
      this.take(await post(this.url, this.page.csrf, { tools: keys === null ? "" : JSON.stringify(keys) }));
      this.fail("");
      this.status.textContent = t("Saved");
    } catch (error) {
      this.status.textContent = "";
      this.fail(t("Not saved. {reason}", { reason: /** @type {Error} */ (error).message }));
      this.render();
    }
  }

  /** What is chosen has changed, here or by another member. */
  changed() {
    this.saving = this.saving.then(() => this.load());
  }

  /** The conversation has begun, with what was chosen. */
  begun() {
    this.status.textContent = "";
    if (this.isOpen) void this.load();
  }
}
