/**
 * The parameters of a conversation, without their sheet, which its first opening loads: whether they are changed, and
 * what was set before the first message, which brings it.
 */

import { post } from "antiphon/lib/fetch";
import { ParameterDraft } from "antiphon/conversation/parameter-draft";
import { lazily } from "antiphon/lib/sheets";
import { showFailure } from "antiphon/sidebar/failure";
import { showNote } from "antiphon/conversation/status";
import { t } from "antiphon/lib/texts";

const NAMES = ["system_prompt", "temperature", "max_tokens", "effort"];

export class Parameters {
  /**
   * @param {any} page what the server put into the page
   * @param {import("antiphon/conversation/picker").Picker} picker
   * @param {{isTemporary: () => boolean}} options
   */
  constructor(page, picker, options) {
    this.page = page;
    this.picker = picker;
    this.options = options;
    this.button = /** @type {HTMLButtonElement} */ (document.getElementById("parameters-button"));
    /** Of a conversation that has not begun: what its first message brings. */
    this.draft = new ParameterDraft(page.user.id, Boolean(page.conversation_id));
    /** Other options of the first message. @type {(() => Record<string, any>) | null} */
    this.more = null;
    /** Parameters that models have refused since the page was loaded. @type {Map<string, Set<string>>} */
    this.refused = new Map();
    /** Once it is loaded. @type {import("antiphon/conversation/parameters-sheet").ParametersSheet | null} */
    this.sheet = null;
    this.load = lazily(() => import("antiphon/conversation/parameters-sheet"), ({ ParametersSheet }) => (this.sheet = new ParametersSheet(this)));
    this.button.addEventListener("click", () => this.toggle());
    picker.onShown = () => this.sheet?.modelChosen();
    this.mark(page.parameters_changed || !this.draft.isEmpty);
  }

  toggle() {
    if (this.sheet?.isOpen) this.sheet.close();
    else void this.load().then((sheet) => sheet.open()).catch(showFailure);
  }

  /** @param {string} model @param {string[]} names of parameters that were left out of its answer's request */
  noteRefused(model, names) {
    this.refused.set(model, new Set([...(this.refused.get(model) ?? []), ...names]));
    if (this.sheet?.isOpen) this.sheet.showModel();
  }

  /** The log says that they were changed, here or by another member. @param {any} parameters */
  changed(parameters) {
    if (!parameters) return;
    if (this.sheet?.isOpen) this.sheet.changed();
    else this.mark(NAMES.some((name) => parameters[name]) || parameters.temperature === 0 || parameters.has_system_prompt);
  }

  /** What the first message of a new conversation brings. @returns {Record<string, any> | undefined} */
  get first() {
    this.sheet?.save();
    const options = { ...this.draft.options, ...this.more?.() };
    return Object.keys(options).length ? options : undefined;
  }

  /** The conversation has begun: what its first message did not bring is saved now. @param {Record<string, any> | undefined} options */
  begun(options) {
    const missing = this.draft.missing(options);
    this.draft.clear();
    if (this.sheet) this.sheet.begun(missing);
    else if (Object.keys(missing).length) {
      post(this.url, this.page.csrf, missing).catch((error) => showNote(t("Not saved. {reason}", { reason: error.message })));
    }
  }

  get url() {
    return `${this.page.urls.root}c/${this.page.conversation_id}/parameters/`;
  }

  /** Marks the button of a conversation that has values of its own. @param {boolean} changed */
  mark(changed) {
    this.button.toggleAttribute("data-changed", Boolean(changed));
    this.button.setAttribute("aria-label", changed ? t("Parameters, changed") : t("Parameters"));
  }
}
