/** The dialogs of folders and tags, and those that jump to a date and delete everything. */

import { FetchError, fetchJson, post } from "antiphon/lib/fetch";
import { showNote } from "antiphon/conversation/status";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/sidebar/organising").Order} Order */
/** @typedef {{id: string, name: string, depth: number, parent: string | null, conversations: number, instructions: string, model: string}} Folder */
/** @typedef {{title: string, text?: string, label?: string, type?: string, value?: string, yes: string, danger?: boolean, run: (value: string) => Promise<unknown>}} Question */

export class Filing {
  /** @param {Order} order */
  constructor(order) {
    this.order = order;
    this.page = order.page;
    const dialog = (/** @type {string} */ id) => /** @type {HTMLDialogElement} */ (document.getElementById(id));
    this.moves = dialog("move-dialog");
    this.tagged = dialog("tags-dialog");
    this.folder = dialog("folder-dialog");
    this.asks = dialog("ask-dialog");
    for (const one of [this.folder, this.asks]) one.querySelector("[data-cancel]")?.addEventListener("click", () => one.close());
    /** @type {(() => void) | null} */
    this.save = null;
    for (const one of [this.folder, this.asks]) {
      one.querySelector("form")?.addEventListener("submit", (event) => {
        event.preventDefault();
        this.save?.();
      });
    }
    this.moves.querySelector("[data-new-folder]")?.addEventListener("click", () => void this.newFolder("", this.afterNew));
    /** @type {((folder: {id: string, name: string}) => void) | undefined} */
    this.afterNew = undefined;
    /** @type {string[]} */
    this.ids = [];
    /** @type {HTMLFormElement} */ (document.getElementById("tags-form")).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.addTag();
    });
  }

  /** What a menu asks for. @param {string} action */
  async run(action) {
    const { folder: id } = this.order;
    if (action === "new-folder") return this.newFolder("");
    if (action === "folder-inside") return this.newFolder(id);
    if (action === "folder-up" || action === "folder-down") return this.step(id, action.slice(7));
    if (action === "jump") return this.jump();
    if (action === "delete-all") return this.deleteAll();
    if (action === "tag-rename" || action === "tag-delete") return this.changeTag(action);
    const { folders } = await this.order.read();
    const folder = /** @type {Folder[]} */ (folders).find((one) => one.id === id);
    if (!folder) return showNote(t("This folder no longer exists."));
    if (action === "folder-edit") return this.editFolder(folder);
    if (action === "folder-move") return this.moveFolder(folder, folders);
    return this.deleteFolder(folder);
  }

  /** @param {HTMLDialogElement} dialog @param {unknown} [error] */
  show(dialog, error) {
    const place = /** @type {HTMLElement} */ (dialog.querySelector(".field-error"));
    if (error && !(error instanceof FetchError)) throw error;
    place.textContent = error instanceof FetchError ? error.message : "";
    place.hidden = !place.textContent;
    if (!dialog.open) dialog.showModal();
  }

  /** @param {Question} question */
  ask({ title, text = "", label = "", type = "text", value = "", yes, danger = false, run }) {
    const of = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
    const field = /** @type {HTMLInputElement} */ (of("ask-field"));
    const button = /** @type {HTMLButtonElement} */ (of("ask-yes"));
    of("ask-title").textContent = title;
    of("ask-text").textContent = text;
    of("ask-text").hidden = !text;
    of("ask-label").textContent = label;
    /** @type {HTMLElement} */ (field.closest(".field")).hidden = !label;
    Object.assign(field, { type, value });
    button.textContent = yes;
    button.className = danger ? "button button-danger" : "button button-primary";
    this.save = () => {
      button.disabled = true;
      run(field.value).then(() => this.asks.close(), (error) => this.show(this.asks, error)).finally(() => (button.disabled = false));
    };
    this.show(this.asks);
    (label ? field : button).focus();
  }

  /** @param {string} path @param {Record<string, string>} [fields] */
  async post(path, fields) {
    const result = await post(`${this.page.urls.root}${path}`, this.page.csrf, fields);
    this.order.window.refresh(0);
    return result;
  }

  /** Into which folder? @param {string[]} ids */
  async move(ids) {
    const { folders, kept } = await this.order.read(ids.slice(0, 500));
    const move = async (/** @type {string} */ folder, /** @type {string} */ name) => {
      this.moves.close();
      if (await this.order.run("move", ids, { folder }, folder ? name : "")) this.order.selection?.leave();
    };
    this.afterNew = (made) => void move(made.id, made.name);
    const here = kept?.folders?.length === 1 ? kept.folders[0] : null;
    this.list(folders, here, t("No folder: in the list"), move);
  }

  /** @param {Folder} folder @param {Folder[]} folders */
  moveFolder(folder, folders) {
    this.afterNew = undefined;
    const inside = new Set([folder.id]);
    for (const one of folders) if (one.parent && inside.has(one.parent)) inside.add(one.id);
    const others = folders.filter((one) => !inside.has(one.id));
    this.list(others, folder.parent ?? "", t("At the top"), async (parent) => {
      try {
        await this.post(`folders/${folder.id}/move/`, { parent });
        this.moves.close();
      } catch (error) {
        this.show(this.moves, error);
      }
    });
  }

  /** @param {Folder[]} folders @param {string | null} here @param {string} none @param {(id: string, name: string) => void} chosen */
  list(folders, here, none, chosen) {
    const place = /** @type {HTMLElement} */ (document.getElementById("move-list"));
    const row = (/** @type {string} */ id, /** @type {string} */ name, depth = 0) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "filing-row", textContent: name, dir: "auto" });
      button.dataset.depth = String(depth);
      if (id === here) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => chosen(id, name));
      return button;
    };
    place.replaceChildren(row("", none), ...folders.map((one) => row(one.id, one.name, one.depth)));
    this.show(this.moves);
    /** @type {HTMLElement | null} */ (place.querySelector("button"))?.focus();
  }

  /** @param {string} parent @param {(folder: {id: string, name: string}) => void} [made] */
  async newFolder(parent, made) {
    await this.edit(t("New folder"), { name: "", instructions: "", model: "" }, async (fields) => {
      const folder = await this.post("folders/new/", { ...fields, parent });
      showNote(t("Folder “{name}” created.", { name: folder.name }));
      made?.(folder);
    });
  }

  /** @param {Folder} folder */
  async editFolder(folder) {
    await this.edit(t("Folder"), folder, (fields) => this.post(`folders/${folder.id}/`, fields));
  }

  /** @param {string} title @param {{id?: string, name: string, instructions: string, model: string}} values @param {(fields: Record<string, string>) => Promise<unknown>} save */
  async edit(title, values, save) {
    const form = /** @type {HTMLFormElement} */ (this.folder.querySelector("form"));
    const models = await fetchJson(this.page.urls.models).then((found) => found.models ?? [], () => []);
    const choices = new Map([["", t("Default model")], ...models.map((/** @type {any} */ one) => [one.id, one.label || one.id])]);
    if (values.model && !choices.has(values.model)) choices.set(values.model, t("{model} – not available", { model: values.model }));
    const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
    field("model").replaceChildren(...[...choices].map(([value, text]) => new Option(text, value)));
    for (const name of /** @type {const} */ (["name", "instructions", "model"])) field(name).value = values[name];
    /** @type {HTMLElement} */ (document.getElementById("folder-title")).textContent = title;
    const more = this.page.collections?.any ? await import("antiphon/sidebar/folder-knowledge").then(({ showFolderKnowledge }) => showFolderKnowledge(form, this.page.urls.root, values.id ?? "")) : () => ({});
    this.save = () => {
      const fields = { ...Object.fromEntries(["name", "instructions", "model"].map((name) => [name, field(name).value])), ...more() };
      save(fields).then(() => this.folder.close(), (error) => this.show(this.folder, error));
    };
    this.show(this.folder);
    field("name").focus();
  }

  /** @param {string} id @param {string} step */
  async step(id, step) {
    const { moved } = await this.post(`folders/${id}/move/`, { step });
    this.order.say(moved ? (step === "up" ? t("Moved up") : t("Moved down")) : step === "up" ? t("It is the first") : t("It is the last"));
  }

  /** @param {Folder} folder */
  deleteFolder(folder) {
    const n = folder.conversations;
    const back = n ? `${tn("Its conversation goes back to the list.", "Its {count} conversations go back to the list.", n)} ` : "";
    this.ask({
      title: t("Delete the folder “{name}”?", { name: folder.name }), text: `${back}${t("Folders in it move one level up.")}`, yes: t("Delete the folder"), danger: true,
      run: async () => {
        if (this.order.window.view === `folder:${folder.id}`) await this.order.open("");
        await this.post(`folders/${folder.id}/delete/`);
        showNote(t("Folder deleted."));
      },
    });
  }

  /** @param {string[]} ids */
  async tags(ids) {
    this.ids = ids;
    await this.drawTags();
    this.show(this.tagged);
    /** @type {HTMLElement} */ (document.getElementById("tags-name")).focus();
  }

  async drawTags() {
    const { tags, kept } = await this.order.read(this.ids.slice(0, 500));
    const place = /** @type {HTMLElement} */ (document.getElementById("tags-list"));
    place.replaceChildren(...tags.map((/** @type {any} */ tag) => {
      const label = Object.assign(document.createElement("label"), { className: "filing-row" });
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: kept?.tags.all.includes(tag.id) ?? false });
      box.indeterminate = kept?.tags.some.includes(tag.id) ?? false;
      box.addEventListener("change", () => void this.setTag(box.checked ? "tag" : "untag", { tag: tag.id }, `“${tag.name}”`));
      label.append(box, Object.assign(document.createElement("span"), { textContent: tag.name, dir: "auto" }));
      return label;
    }));
  }

  /** @param {string} action @param {Record<string, string>} fields @param {string} words */
  async setTag(action, fields, words) {
    try {
      await this.order.post({ action, ids: this.ids, ...fields });
      this.show(this.tagged);
      this.order.say(action === "tag" ? t("Added: {tag}", { tag: words }) : t("Removed: {tag}", { tag: words }));
      this.order.window.refresh(0);
    } catch (error) {
      this.show(this.tagged, error);
      await this.drawTags();
    }
  }

  async addTag() {
    const field = /** @type {HTMLInputElement} */ (document.getElementById("tags-name"));
    const name = field.value.trim();
    if (!name) return;
    await this.setTag("tag", { name }, `“${name}”`);
    if (/** @type {HTMLElement} */ (this.tagged.querySelector(".field-error")).hidden) field.value = "";
    await this.drawTags();
  }

  /** @param {string} action */
  changeTag(action) {
    const id = this.order.window.view.replace("tag:", "");
    const name = this.order.window.state?.dataset.name ?? "";
    if (action === "tag-rename") {
      return this.ask({ title: t("Rename the tag"), label: t("Name"), value: name, yes: t("Rename"), run: (value) => this.post(`tags/${id}/`, { name: value }) });
    }
    return this.ask({
      title: t("Delete the tag “{name}”?", { name }), text: t("It is removed from its conversations. They stay."), yes: t("Delete the tag"), danger: true,
      run: async () => {
        await this.order.open("");
        await this.post(`tags/${id}/delete/`);
        showNote(t("Tag deleted."));
      },
    });
  }

  jump() {
    const today = new Date();
    const value = new Date(today.getTime() - today.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
    this.ask({
      title: t("Jump to a date"), label: t("Conversations last used on this day or before"), type: "date", value, yes: t("Jump"),
      run: (day) => this.order.window.open(this.order.window.view, day ? { day } : {}),
    });
  }

  deleteAll() {
    this.ask({
      title: t("Delete all conversations?"),
      text: t("All that you own move to the trash, also those in folders, in the archive and pinned ones, for all their members. You can restore them from there. Conversations of others stay."),
      label: t("Type “delete all” to confirm"), yes: t("Delete all"), danger: true,
      run: async (confirm) => {
        let at = "";
        let done = 0;
        for (let left = 1; left > 0; ) {
          const result = await post(this.page.urls.delete_all, this.page.csrf, { confirm, at });
          at = result.at;
          done += result.done;
          left = result.done ? result.left : 0;
        }
        this.order.window.refresh(0);
        const words = tn("One conversation deleted.", "{count} conversations deleted.", done);
        showNote(words, done ? { label: t("Undo"), run: () => void this.undoDeleteAll(at) } : undefined);
      },
    });
  }

  /** @param {string} at */
  async undoDeleteAll(at) {
    try {
      for (let left = 1; left > 0; ) left = (await post(`${this.page.urls.delete_all}undo/`, this.page.csrf, { at })).left;
    } catch (error) {
      if (!(error instanceof FetchError)) throw error;
      showNote(error.message);
    }
    this.order.window.refresh(0);
  }
}
