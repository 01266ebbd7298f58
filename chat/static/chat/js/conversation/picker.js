/** Chooses a model, or a preset, with which only a new conversation can start. */

import { recall, remember } from "antiphon/lib/storage";

/** @typedef {{id: string, label: string}} Model */
/** @typedef {{id: string, name: string, description: string, model: string}} Preset */

const PRESET = "preset:";

export class Picker {
  /** @param {HTMLSelectElement} select @param {any} page what the server put into the page */
  constructor(select, page) {
    this.select = select;
    this.page = page;
    this.mark = /** @type {HTMLElement} */ (document.getElementById("preset"));
    /** @type {Model[]} */
    this.models = page.models;
    /** @type {Preset[]} */
    this.presets = page.presets;
    this.fill();
    this.restore();
    select.addEventListener("change", () => {
      remember("model", select.value);
      this.explain();
    });
    this.explain();
  }

  /** What is on offer may change while the page is open. @param {{models?: Model[], presets?: Preset[]}} hello */
  offer(hello) {
    const models = hello.models ?? [];
    const presets = this.page.conversation_id ? [] : hello.presets ?? [];
    if (JSON.stringify([models, presets]) === JSON.stringify([this.models, this.presets])) return;
    this.models = models;
    this.presets = presets;
    this.fill();
    this.explain();
  }

  fill() {
    const { select } = this;
    const chosen = select.value;
    const known = this.models.map((model) => model.id);
    const models = this.models.map((model) => new Option(model.label, model.id));
    const presets = this.presets.map((preset) => {
      const gone = Boolean(preset.model) && known.length > 0 && !known.includes(preset.model);
      const option = new Option(gone ? `${preset.name} (${select.dataset.gone})` : preset.name, PRESET + preset.id);
      option.disabled = gone;
      return option;
    });
    select.replaceChildren(...(presets.length ? [group(select.dataset.presets ?? "", presets), group(select.dataset.models ?? "", models)] : models));
    this.choose(chosen) || this.choose(this.page.model);
  }

  /** A new conversation starts with what was last chosen. */
  restore() {
    const last = recall("model");
    if (!this.page.conversation_id && last) this.choose(last);
  }

  /** @param {string} value */
  choose(value) {
    const option = [...this.select.options].find((one) => one.value === value && !one.disabled);
    if (option) option.selected = true;
    return Boolean(option);
  }

  explain() {
    this.select.title = this.preset?.description ?? "";
  }

  /** The preset that is chosen, if one is. */
  get preset() {
    const { value } = this.select;
    return value.startsWith(PRESET) ? this.presets.find((preset) => PRESET + preset.id === value) : undefined;
  }

  /** The chosen model where it is not the conversation's own already. */
  get model() {
    const { value } = this.select;
    return value && !value.startsWith(PRESET) && value !== this.page.model ? value : undefined;
  }

  /** A conversation has begun: what stays to choose is its model. @param {string | undefined} presetId @param {string | undefined} model */
  begun(presetId, model) {
    const preset = this.presets.find((one) => one.id === presetId);
    if (preset) {
      this.mark.textContent = preset.name;
      this.mark.hidden = false;
      this.page.model = model || preset.model || this.models[0]?.id || "";
    }
    if (!this.presets.length) return;
    this.presets = [];
    this.fill();
    this.explain();
  }
}

/** @param {string} label @param {HTMLOptionElement[]} options */
function group(label, options) {
  const made = document.createElement("optgroup");
  made.label = label;
  made.append(...options);
  return made;
}
