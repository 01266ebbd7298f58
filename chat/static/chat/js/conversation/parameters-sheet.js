/**
 * The side sheet of a conversation's parameters: system prompt, temperature, longest answer, effort. What is changed is
 * saved at once and counts from the next answer on. Before the first message it is kept here, and goes with that message.
 * Loaded with the first press of its button.
 */

import { fetchJson, post } from "antiphon/lib/fetch";
import { Field } from "antiphon/conversation/parameter-fields";
import { SideSheet } from "antiphon/lib/side-sheet";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {"system_prompt" | "temperature" | "max_tokens" | "effort"} Name */
/**
 * What the server says of a conversation: its own values (null: the default), and the defaults of its preset.
 * @typedef {object} Shown
 * @property {Record<string, any>} values
 * @property {Record<string, any>} defaults
 * @property {string} preset its name
 * @property {boolean} may_change
 * @property {Record<string, number>} limits
 * @property {"on" | "off" | "temporary"} instructions
 * @property {boolean} [has_system_prompt]
 */

/** @type {Name[]} */
const NAMES = ["system_prompt", "temperature", "max_tokens", "effort"];
/** @type {Record<string, (model: string) => string>} */
const REFUSED = {
  temperature: (model) => t("{model} does not accept a temperature. It is left out.", { model }),
  max_tokens: (model) => t("{model} does not accept a longest answer. It is left out.", { model }),
  effort: (model) => t("{model} does not accept a choice of how long it thinks. It is left out.", { model }),
};
const TYPING_MS = 900; // after the last key, until a text is saved

export class ParametersSheet extends SideSheet {
  /** @param {import("antiphon/conversation/parameters").Parameters} owner */
  constructor(owner) {
    super(owner.button, /** @type {HTMLDialogElement} */ (document.getElementById("parameters")));
    this.owner = owner;
    this.page = owner.page;
    this.picker = owner.picker;
    this.draft = owner.draft;
    this.status = this.part(".parameters-status");
    /** @type {Shown | null} */
    this.shown = null;
    /** What is not saved yet, as texts. @type {Record<string, string>} */
    this.waiting = {};
    this.saving = Promise.resolve();
    this.timer = 0;
    this.fields = NAMES.map((name) => new Field(name, this.part(`[data-name=${name}]`), {
      onChange: (text, soon) => this.change(name, text, soon),
      onReset: () => this.reset([name]),
    }));
    this.part("[data-reset-all]").addEventListener("click", () => this.reset(NAMES));
  }

  opened() {
    for (const field of this.fields) field.lock(); // until what is set is known
    this.load();
  }

  closed() {
    this.save();
  }

  /** Asks for what is set, and shows it. */
  async load() {
    const { page } = this;
    this.presetId = this.picker.preset?.id ?? "";
    const url = page.conversation_id ? this.url : `${page.urls.root}parameters/?preset=${encodeURIComponent(this.presetId)}`;
    try {
      this.take(await fetchJson(url));
      this.fail("");
    } catch (error) {
      this.fail(/** @type {Error} */ (error).message);
    }
  }

  get url() {
    return `${this.page.urls.root}c/${this.page.conversation_id}/parameters/`;
  }

  /** @param {Shown} shown */
  take(shown) {
    this.shown = shown;
    if (!this.page.conversation_id) {
      Object.assign(shown.values, this.draft.values);
      if (this.owner.options.isTemporary() && shown.instructions === "on") shown.instructions = "temporary";
    }
    this.render();
  }

  render() {
    const { shown } = this;
    if (!shown) return;
    this.sheet.toggleAttribute("data-viewer", !shown.may_change);
    for (const field of this.fields) field.show(shown, this.waiting[field.name]);
    const preset = this.part(".parameters-preset");
    preset.textContent = (preset.dataset.words ?? "").replace("%(name)s", shown.preset);
    preset.hidden = !shown.preset;
    const own = this.part(".parameters-own");
    const { textOn, textTemporary, textOff } = own.dataset;
    const text = { on: textOn, temporary: textTemporary, off: textOff }[shown.instructions];
    this.part(".parameters-own > span").textContent = text ?? "";
    const changed = NAMES.some((name) => shown.values[name] !== null);
    /** @type {HTMLButtonElement} */ (this.part("[data-reset-all]")).disabled = !changed;
    this.owner.mark(changed || (!shown.may_change && Boolean(shown.has_system_prompt)));
    this.showModel();
  }

  /** What the chosen model does not accept, and whether it thinks. */
  showModel() {
    const id = this.picker.preset ? this.picker.preset.model || this.picker.models[0]?.id : this.picker.value;
    const model = this.picker.models.find((one) => one.id === id);
    const refused = new Set([...(model?.refuses ?? []), ...(this.owner.refused.get(id ?? "") ?? [])]);
    for (const field of this.fields) {
      field.refuse(refused.has(field.name) ? (REFUSED[field.name]?.(model?.label ?? id ?? "") ?? "") : "");
    }
    this.part("[data-name=effort]").hidden = model?.thinks === false && !this.shown?.values.effort;
  }

  /** The user has chosen another model, or a preset. */
  modelChosen() {
    if (!this.isOpen) return;
    if (!this.page.conversation_id && (this.picker.preset?.id ?? "") !== this.presetId) this.load();
    else this.showModel();
  }

  /** @param {Name} name @param {string} text empty: the default @param {boolean} soon it may change further */
  change(name, text, soon) {
    this.waiting[name] = text;
    clearTimeout(this.timer);
    if (soon) this.timer = setTimeout(() => this.save(), TYPING_MS);
    else this.save();
  }

  /** @param {Name[]} names */
  reset(names) {
    clearTimeout(this.timer);
    for (const name of names) {
      this.waiting[name] = "";
      this.fields.find((field) => field.name === name)?.clear();
    }
    this.save();
    const field = this.fields.find((one) => one.name === names[0]);
    if (names.length === 1) field?.focus(); // its button goes
  }

  /** Saves what is waiting, one request after the other. */
  save() {
    clearTimeout(this.timer);
    if (!Object.keys(this.waiting).length) return;
    if (!this.page.conversation_id) return void this.keep();
    this.saving = this.saving.then(() => this.send());
  }

  /** Keeps what is set until the first message. */
  keep() {
    this.draft.set(this.waiting);
    for (const [name, text] of Object.entries(this.waiting)) if (this.shown) this.shown.values[name] = text || null;
    this.waiting = {};
    this.render();
    this.say(t("Will be sent with your message"));
  }

  async send() {
    const sent = { ...this.waiting };
    if (!Object.keys(sent).length) return;
    this.say(t("Saving…"));
    try {
      const shown = await post(this.url, this.page.csrf, sent);
      for (const [name, text] of Object.entries(sent)) if (this.waiting[name] === text) delete this.waiting[name];
      this.take(shown);
      this.fail("");
      this.say(t("Saved"));
    } catch (error) {
      this.say("");
      this.fail(t("Not saved. {reason}", { reason: /** @type {Error} */ (error).message }));
    }
  }

  /** They were changed elsewhere. */
  changed() {
    if (this.isOpen) this.saving = this.saving.then(() => this.load());
  }

  /** The conversation has begun: what its first message did not bring is saved now. @param {Record<string, string>} missing */
  begun(missing) {
    Object.assign(this.waiting, missing);
    this.say("");
    this.save();
    this.changed();
  }

  /** @param {string} words */
  say(words) {
    this.status.textContent = words;
  }
}
