/** Chooses a model, or a preset, with which only a new conversation can start. */

import { fetchJson, post } from "antiphon/lib/fetch";
import { recall, remember } from "antiphon/lib/storage";
import { PickerDialog } from "antiphon/conversation/picker-dialog";
import { MIN_COMPARED } from "antiphon/conversation/picker-compare";
import { noteModels } from "antiphon/conversation/abilities";
import { PRESET, modelEntry, presetEntry } from "antiphon/conversation/model-list";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/model-list").Model} Model */
/** @typedef {import("antiphon/conversation/model-list").Preset} Preset */
/** @typedef {{models: Model[], favourites: string[], recent: string[]}} List */

export class Picker {
  /** @param {HTMLButtonElement} button @param {any} page what the server put into the page @param {(words: string) => void} report */
  constructor(button, page, report) {
    this.button = button;
    this.page = page;
    this.report = report;
    this.name = /** @type {HTMLElement} */ (button.querySelector(".model-name"));
    this.mark = /** @type {HTMLElement} */ (document.getElementById("preset"));
    /** The models by `hello`, or the one that the page came with. @type {Model[]} */
    this.models = page.chosen ? [page.chosen] : [];
    noteModels(this.models);
    /** @type {Preset[]} */
    this.presets = page.presets;
    /** The list with everything the dialog shows; null until it is opened. @type {List | null} */
    this.list = null;
    /** Another preset, or a model, is shown as chosen. @type {((preset: Preset | undefined) => void) | null} */
    this.onPreset = null;
    this.value = page.chosen?.id ?? "";
    /** Several models that the next message asks; else empty. @type {string[]} */
    this.picks = [];
    this.loading = false;
    this.changes = 0; // of what is on offer; beginnings and ends of changes of favourites
    this.greeted = false; // `hello` has come: `models` are all there are
    this.dialog = new PickerDialog(this);
    this.onShown = /** @type {(() => void) | null} */ (null);
    const last = recall("model");
    const asked = new URLSearchParams(location.search).get("preset");
    if (!page.conversation_id && !(asked && this.choose(PRESET + asked)) && last?.startsWith(PRESET)) this.choose(last);
    button.addEventListener("click", () => this.open());
    button.addEventListener("pointerenter", () => this.list || this.load()); // likely to be opened next
    this.show();
  }

  open() {
    this.dialog.open();
    this.load();
  }

  /** Asks for the list; the browser has it already unless it has changed. */
  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      /** @type {List} */
      let list;
      let before;
      do { // a list that was read while something changed may not have the change
        before = this.changes;
        list = await fetchJson(this.page.urls.models);
      } while (before !== this.changes);
      const changed = JSON.stringify(list) !== JSON.stringify(this.list);
      this.list = list;
      if (changed) this.dialog.refresh();
      this.dialog.fail("");
    } catch (error) {
      this.dialog.fail(/** @type {Error} */ (error).message); // what `hello` said is shown all the same
    } finally {
      this.loading = false;
    }
  }

  /** What can be chosen, as the dialog shows it. */
  entries() {
    const models = this.list?.models ?? this.models;
    const known = new Set(models.map((model) => model.id));
    const order = new Map([...(this.list?.favourites ?? []), ...(this.list?.recent ?? [])].map((id, at) => [id, at]));
    return {
      presets: this.presets.map((preset) => presetEntry(preset, Boolean(preset.model) && this.greeted && !known.has(preset.model))),
      models: models.map((model, at) => modelEntry(model, order.get(model.id) ?? order.size + at)),
      favourites: this.list?.favourites ?? [],
      recent: this.list?.recent ?? [],
    };
  }

  /** What is on offer may change while the page is open. @param {{models?: Model[], presets?: Preset[]}} hello */
  offer(hello) {
    const presets = this.page.conversation_id ? [] : hello.presets ?? [];
    const models = hello.models ?? [];
    if (this.greeted && JSON.stringify([models, presets]) === JSON.stringify([this.models, this.presets])) return;
    this.greeted = true;
    this.models = models;
    noteModels(models);
    this.presets = presets;
    const offered = this.picks.filter((id) => models.some((model) => model.id === id));
    if (offered.length < this.picks.length) this.compare(offered.length >= MIN_COMPARED ? offered : []);
    this.changes++;
    const listed = new Set(this.list?.models.map((model) => model.id));
    if (listed.size !== models.length || !models.every((model) => listed.has(model.id))) this.list = null;
    if (!this.isOffered(this.value)) this.choose(this.page.model) || this.choose(models[0]?.id ?? "");
    this.show();
    this.dialog.refresh();
    if (this.dialog.isOpen) this.load();
  }

  /** @param {string} value */
  isOffered(value) {
    const preset = this.presets.find((one) => PRESET + one.id === value);
    const model = preset ? preset.model : value;
    if (preset && (!model || !this.greeted)) return true;
    return [...this.models, ...(this.list?.models ?? [])].some((one) => one.id === model);
  }

  /** @param {string} value */
  choose(value) {
    if (!value || !this.isOffered(value)) return false;
    this.value = value;
    this.show();
    return true;
  }

  /** The user has chosen. @param {string} value */
  picked(value) {
    if (!this.choose(value)) return;
    const preset = value.startsWith(PRESET);
    remember("model", preset ? value : null); // a preset in this browser; a model for the person
    if (!preset) post(`${this.page.urls.models}choose/`, this.page.csrf, { model: value }).catch(() => {});
    this.report(preset ? t("Preset: {name}", { name: this.label }) : t("Model: {name}", { name: this.label }));
  }

  /** Several models that the next message asks side by side; none: one model again. @param {string[]} ids */
  compare(ids) {
    const changed = ids.join() !== this.picks.join();
    this.picks = ids;
    this.show();
    if (changed) this.report(ids.length ? t("Comparing {models}", { models: ids.map((id) => this.labelOf(id)).join(", ") }) : t("Model: {name}", { name: this.label }));
  }

  /** The models that the next message asks side by side, if several. */
  get compared() {
    return this.picks.length >= MIN_COMPARED ? this.picks : undefined;
  }

  /** @param {string} id @param {boolean} starred */
  async star(id, starred) {
    if (!this.list) return;
    const { favourites } = this.list;
    this.list.favourites = starred ? [...favourites, id] : favourites.filter((one) => one !== id);
    this.changes++;
    try {
      await post(`${this.page.urls.models}star/`, this.page.csrf, { model: id, starred: starred ? "1" : "0" });
    } catch (error) {
      if (this.list) this.list.favourites = favourites;
      this.dialog.restar();
      this.dialog.fail(/** @type {Error} */ (error).message);
    } finally {
      this.changes++;
    }
  }

  get label() {
    const { preset, value } = this;
    return preset ? preset.name : this.labelOf(value);
  }

  /** @param {string} id */
  labelOf(id) {
    return [...(this.list?.models ?? []), ...this.models].find((one) => one.id === id)?.label ?? id;
  }

  show() {
    this.name.textContent = this.compared ? tn("{count} model", "{count} models", this.compared.length) : this.label;
    this.button.title = this.compared?.map((id) => this.labelOf(id)).join(", ") ?? this.preset?.description ?? (this.value.startsWith(PRESET) ? "" : this.value);
    this.button.dataset.value = this.value;
    this.button.hidden = !this.value;
    this.onPreset?.(this.preset);
    this.onShown?.();
  }

  /** The model that the next message asks, also through a preset, if it is known. @returns {Model | undefined} */
  get asked() {
    const { preset, value, models } = this;
    return models.find((one) => one.id === (preset ? preset.model || models[0]?.id : value));
  }

  /** The preset that is chosen, if one is. */
  get preset() {
    const { value } = this;
    return value.startsWith(PRESET) ? this.presets.find((preset) => PRESET + preset.id === value) : undefined;
  }

  /** The chosen model where it is not the conversation's own already. */
  get model() {
    const { value } = this;
    return value && !this.compared && !value.startsWith(PRESET) && value !== this.page.model ? value : undefined;
  }

  /** A conversation has begun: what stays to choose is its model. @param {string | undefined} presetId @param {string | undefined} model */
  begun(presetId, model) {
    const preset = this.presets.find((one) => one.id === presetId);
    if (preset) {
      this.mark.textContent = preset.name;
      this.mark.hidden = false;
      this.page.model = model || preset.model || this.models[0]?.id || "";
      this.value = this.page.model;
    }
    this.presets = [];
    this.show();
    this.dialog.refresh();
  }
}
