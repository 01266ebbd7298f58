/** One call of a tool that waits for a person: what it will do and why it asks, its arguments, and the decision. */

import { argumentsTrouble, layOut } from "antiphon/conversation/approval-json";
import { buildFields, readAnswer } from "antiphon/conversation/approval-form";
import { spellTime } from "antiphon/conversation/approval-words";
import { fetchJson } from "antiphon/lib/fetch";
import { titleWords } from "antiphon/conversation/step-words";
import { t, told } from "antiphon/lib/texts";

/**
 * @typedef {object} WaitingCall
 * @property {string} call_id
 * @property {string} title
 * @property {string} arguments
 * @property {number} [arguments_chars] their whole length, where they were cut
 * @property {string} [status]
 * @property {string} [server]
 * @property {"reads" | "writes"} [effect]
 * @property {string} [why]
 * @property {{sentence: string, schema: import("antiphon/conversation/approval-form").Schema}} [question]
 * @property {string} [expires_at]
 */
/**
 * @typedef {object} CardOptions
 * @property {boolean} mayDecide
 * @property {string} root of the site
 * @property {(fields: Record<string, unknown>) => Promise<unknown>} send
 */

export class ApprovalCard {
  /** @param {WaitingCall} call @param {CardOptions} options */
  constructor(call, options) {
    this.call = call;
    this.options = options;
    const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-approval"));
    this.element = /** @type {HTMLFormElement} */ (blank.content.querySelector(".approval")?.cloneNode(true));
    this.element.dataset.call = call.call_id;
    this.element.toggleAttribute("data-question", Boolean(call.question));
    this.heading = this.part("title");
    this.heading.id = `approval-${call.call_id}`;
    this.element.setAttribute("aria-labelledby", this.heading.id);
    this.heading.textContent = titleWords(call);
    this.part("server").textContent = call.server ?? "";
    this.part("effect").textContent = call.effect === "writes" ? t("Writes or sends") : call.question ? "" : t("Reads only");
    this.part("effect").dataset.effect = call.effect ?? "writes";
    this.part("why").textContent = call.question?.sentence ?? told(call.why ?? "");
    this.part("until").textContent = call.expires_at ? untilWords(call.expires_at, Boolean(call.question)) : "";
    this.text = /** @type {HTMLElement} */ (this.part("arguments").querySelector("pre"));
    this.field = /** @type {HTMLTextAreaElement} */ (this.part("arguments").querySelector("textarea"));
    this.field.id = `arguments-${call.call_id}`;
    this.field.setAttribute("aria-describedby", `trouble-${call.call_id}`);
    this.reason = /** @type {HTMLTextAreaElement} */ (this.part("reason").querySelector("textarea"));
    this.part("trouble").id = `trouble-${call.call_id}`;
    if (call.question) this.part("fields").append(...buildFields(call.question.schema, call.call_id));
    this.allow(options.mayDecide);
    this.show(call.arguments);
    if (call.arguments_chars) void this.loadArguments();
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.decide(event.submitter?.getAttribute("value") ?? "once");
    });
    this.field.addEventListener("input", () => this.check());
    this.element.querySelector("[data-edit]")?.addEventListener("click", () => this.edit());
  }

  /** @param {string} name @returns {HTMLElement} */
  part(name) {
    return /** @type {HTMLElement} */ (this.element.querySelector(`.approval-${name}`));
  }

  /** @param {boolean} mayDecide */
  allow(mayDecide) {
    this.options.mayDecide = mayDecide;
    this.element.toggleAttribute("data-readonly", !mayDecide);
    for (const one of this.part("fields").querySelectorAll("input, select, textarea")) /** @type {HTMLInputElement} */ (one).disabled = !mayDecide;
    if (!mayDecide && !this.field.hidden) this.edit();
  }

  focus() {
    this.heading.focus();
  }

  /** @param {string} text */
  show(text) {
    this.shown = this.call.arguments_chars ? text : layOut(text);
    this.text.textContent = this.shown;
    this.part("arguments").hidden = !text || text.trim() === "{}" || Boolean(this.call.question); // it asks within a call that was allowed
  }

  /** The event has only their beginning: nothing is allowed that nobody could read. */
  async loadArguments() {
    this.setBusy(true);
    this.say(t("The arguments are being loaded…"));
    try {
      const found = await fetchJson(`${this.options.root}calls/${this.call.call_id}/arguments/`);
      delete this.call.arguments_chars;
      this.show(found.arguments);
      this.say("");
      this.setBusy(false);
    } catch (error) {
      this.say(/** @type {Error} */ (error).message);
    }
  }

  /** Opens the arguments to be changed, or closes them without a change. */
  edit() {
    const editing = this.field.hidden;
    if (editing) this.field.value = this.shown ?? "";
    this.field.hidden = !editing;
    this.text.hidden = editing;
    const button = /** @type {HTMLElement} */ (this.element.querySelector("[data-edit]"));
    button.textContent = (editing ? button.dataset.back : button.dataset.words) ?? "";
    button.setAttribute("aria-expanded", String(editing));
    this.check();
    if (editing) this.field.focus();
  }

  /** Whether the arguments can be sent; says what is wrong with them. */
  check() {
    const trouble = this.field.hidden ? "" : argumentsTrouble(this.field.value);
    this.field.setAttribute("aria-invalid", String(Boolean(trouble)));
    this.part("trouble").textContent = trouble;
    return !trouble;
  }

  /** @param {string} decision */
  async decide(decision) {
    if (this.element.hasAttribute("data-busy") || !this.options.mayDecide) return;
    const denies = decision === "deny";
    if (!denies && !this.check()) return void this.field.focus();
    if (!denies && this.call.question && !this.element.reportValidity()) return;
    /** @type {Record<string, unknown>} */
    const fields = { decision };
    if (!denies && this.call.question) fields.answer = readAnswer(this.element);
    else if (!denies && !this.field.hidden && this.field.value !== this.shown) fields.arguments = this.field.value;
    else if (denies && this.reason.value.trim()) fields.reason = this.reason.value.trim();
    this.setBusy(true);
    this.say(t("Sending…"));
    try {
      await this.options.send(fields);
      this.say(t("Sent.")); // the event takes the card away
    } catch (error) {
      this.setBusy(false);
      this.say(/** @type {Error} */ (error).message);
    }
  }

  /** The buttons keep the focus, and do nothing. @param {boolean} busy */
  setBusy(busy) {
    this.element.toggleAttribute("data-busy", busy);
    for (const button of this.element.querySelectorAll(".approval-actions button")) button.setAttribute("aria-disabled", String(busy));
  }

  /** @param {string} words */
  say(words) {
    this.part("status").textContent = words;
  }
}

/** @param {string} at @param {boolean} isQuestion */
function untilWords(at, isQuestion) {
  const time = spellTime(at);
  return isQuestion ? t("If nobody answers by {time}, the model continues without an answer.", { time }) : t("If nobody decides by {time}, it is denied.", { time });
}
