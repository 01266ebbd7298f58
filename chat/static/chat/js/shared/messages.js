/** The messages of a live share, as the server rendered them and as events change them. Each event may come twice. */

import { dressAnswer, dressCode } from "antiphon/conversation/code";
import { setFormulas } from "antiphon/conversation/formulas";
import { LiveText, showFinished } from "antiphon/conversation/live-text";
import { t, tc } from "antiphon/lib/texts";
import { showSharedFiles } from "antiphon/shared/files";
import * as steps from "antiphon/shared/steps";

const ACTIVE = ["pending", "streaming"];
const WITHHELD = ["hold", "block", "withdrawn"];
const ENDINGS = /** @type {Record<string, string>} */ ({
  "run.done": "complete", "run.stopped": "stopped", "run.failed": "failed", "run.interrupted": "interrupted",
});

const WAITS = t("This answer is waiting for a decision.");

class View {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    this.say = steps.say;
    this.body = /** @type {HTMLElement} */ (element.querySelector(".message-body"));
    this.attempt = Number(element.dataset.attempt ?? 0);
    this.base = Number(element.dataset.base ?? 0);
    this.texts = { text: "", reasoning: "" };
    this.lengths = { text: 0, reasoning: 0 }; // in code points
    /** @type {LiveText | null} */
    this.live = null;
    steps.adopt(this);
    if (!ACTIVE.includes(element.dataset.status ?? "")) dressAnswer(this.body, true);
    else this.begin(this.body.textContent ?? "", this.thinking()?.textContent ?? "");
  }

  /** @returns {HTMLElement | null} */
  thinking() {
    return this.element.querySelector(".thinking-text");
  }

  /** The texts so far. @param {string} text @param {string} reasoning */
  begin(text, reasoning) {
    this.live = new LiveText(this.body, () => {}, dressCode);
    this.texts = { text: "", reasoning: "" };
    this.lengths = { text: 0, reasoning: 0 };
    const thinking = this.thinking();
    if (thinking) thinking.textContent = "";
    this.write("text", 0, text);
    this.write("reasoning", 0, reasoning);
  }

  /** @param {"text" | "reasoning"} kind @param {number} index @param {string} text @returns {boolean} false: text before it is missing */
  write(kind, index, text) {
    if (index > this.lengths[kind]) return false;
    const points = [...text];
    const fresh = points.slice(this.lengths[kind] - index);
    if (!fresh.length) return true;
    const added = fresh.join("");
    this.texts[kind] += added;
    this.lengths[kind] += fresh.length;
    if (kind === "text") {
      this.live ??= new LiveText(this.body, () => {}, dressCode);
      this.live.write(added);
    } else {
      const thinking = this.thinking();
      thinking?.append(added);
      const details = /** @type {HTMLElement | null} */ (thinking?.closest("details"));
      if (details) details.hidden = false;
      const words = details?.querySelector(".thinking-words");
      if (words && !words.textContent) words.textContent = t("Thinking…");
    }
    return true;
  }

  /**
   * Another attempt, or a run that continues the answer.
   * @param {number} attempt @param {{text: number, reasoning: number}} [kept] what finished steps have written
   */
  restart(attempt, kept) {
    if (attempt <= this.attempt) return;
    const text = [...this.texts.text].slice(0, Math.max(this.base, kept?.text ?? 0)).join("");
    const reasoning = [...this.texts.reasoning].slice(0, kept?.reasoning ?? 0).join("");
    this.attempt = attempt;
    this.begin(text, reasoning);
  }

  /** Who wrote it. @param {string} name */
  sign(name) {
    /** @type {HTMLElement} */ (this.element.querySelector(".message-author")).textContent = name;
  }

  /** @param {any} message */
  update(message) {
    const data = this.element.dataset;
    const run = message.run;
    if (run) {
      data.run = run.run_id;
      this.attempt = run.attempt;
      this.base = run.base_length ?? 0;
    }
    data.status = message.status;
    data.moderation = message.moderation?.action ?? "";
    this.sign(message.role === "user" ? message.author?.name ?? "" : run?.model ?? "");
    const shown = !message.deleted_at && !WITHHELD.includes(message.moderation?.action);
    steps.assign(this, run, shown);
    if (ACTIVE.includes(message.status)) this.begin(message.text, run?.reasoning?.text ?? "");
    else this.showEnd(message.html, message.text);
    showSharedFiles(this.element, (shown && message.files) || []);
    if (shown && !this.live) steps.end(this);
    this.note(noteOf(message));
  }

  /** @param {string | null} html @param {string} [text] what the server says the text is */
  showEnd(html, text) {
    this.live?.end();
    this.live = null;
    if (html) {
      showFinished(this.body, html, dressCode);
      setFormulas(this.body);
    } else if (this.element.dataset.role === "user") {
      this.body.textContent = text ?? "";
    } else if (text !== undefined && text !== this.texts.text) {
      const live = new LiveText(this.body, () => {}, dressCode);
      live.write(text);
      live.end();
    }
    if (text !== undefined) {
      this.texts.text = text;
      this.lengths.text = [...text].length;
    }
  }

  /** @param {string} words */
  note(words) {
    this.noted.textContent = words;
  }

  get noted() {
    return /** @type {HTMLElement} */ (this.element.querySelector(".shared-note"));
  }

  /** A decision that the answer waited for is there. */
  goOn() {
    if (this.noted.textContent === WAITS) this.note("");
  }
}

/** Why a message is not whole. @param {any} message */
function noteOf(message) {
  const action = message.moderation?.action;
  if (message.deleted_at) return t("This message was deleted.");
  if (WITHHELD.includes(action)) return t("This message is not shown.");
  if (ACTIVE.includes(message.status)) return message.run?.status === "waiting" ? WAITS : "";
  if (message.status === "stopped" || message.status === "interrupted") return t("This answer was stopped before its end.");
  if (message.status === "failed") return t("There is no answer: something went wrong.");
  return action === "mask" ? t("Parts of this message are not shown.") : "";
}

export class SharedMessages {
  /** @param {HTMLElement} transcript */
  constructor(transcript) {
    this.transcript = transcript;
    /** @type {Map<string, View>} */
    this.views = new Map();
    /** @type {Map<string, string>} run id to message id */
    this.runs = new Map();
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (transcript.querySelectorAll(".message"))) {
      const view = new View(element);
      this.views.set(element.dataset.id ?? "", view);
      if (element.dataset.run) this.runs.set(element.dataset.run, element.dataset.id ?? "");
      if (view.live && view.noted.textContent !== WAITS) view.note("");
    }
  }

  /** @param {any} event @returns {boolean} false: text before it is missing, so that a snapshot is needed */
  apply(event) {
    if (event.type === "snapshot") return this.replace(event.messages);
    if (event.type === "message.created" || event.type === "message.updated") return this.place(event);
    if (event.type === "run.queued" || event.type === "run.started") this.runs.set(event.run_id, event.message_id);
    const view = this.views.get(this.runs.get(event.run_id) ?? "");
    if (!view || view.element.dataset.run && view.element.dataset.run !== event.run_id && event.type in ENDINGS) return true;
    if (steps.EVENTS.has(event.type)) {
      if (event.run_id === view.element.dataset.run) steps.apply(view, event);
      return true;
    }
    switch (event.type) {
      case "run.waiting":
        if (event.for === "approval") view.note(WAITS);
        return true;
      case "run.resumed":
        view.goOn();
        return true;
      case "run.queued":
      case "run.started":
        view.goOn();
        view.element.dataset.run = event.run_id;
        if (event.model) view.sign(event.model);
        view.restart(event.attempt, event.kept);
        return true;
      case "run.delta":
      case "run.reasoning":
        if (event.attempt < view.attempt) return true;
        view.restart(event.attempt);
        view.element.dataset.status = "streaming";
        return view.write(event.type === "run.delta" ? "text" : "reasoning", event.index, event.text);
      default:
        return event.type in ENDINGS ? this.end(view, event) : true;
    }
  }

  /** @param {View} view @param {any} event */
  end(view, event) {
    if (event.attempt < view.attempt) return true;
    if (event.next_attempt) {
      view.restart(event.next_attempt, event.kept);
      return true;
    }
    const status = ENDINGS[event.type];
    view.element.dataset.status = status;
    view.showEnd(event.html ?? null, undefined);
    steps.end(view);
    const words = view.element.querySelector(".thinking-words");
    if (words?.textContent) words.textContent = tc("thoughts of an answer", "Thinking");
    view.note(noteOf({ status }));
    return view.lengths.text >= (event.text_length ?? 0);
  }

  /** @param {any} event */
  place(event) {
    const message = event.message;
    if (message.run) this.runs.set(message.run.run_id, message.id);
    const known = this.views.get(message.id);
    if (known) {
      if (event.type === "message.updated") known.update(message);
      return true;
    }
    if (event.type === "message.updated") return true; // above what is shown
    this.add(message);
    return true;
  }

  /** @param {any} message */
  add(message) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById(`blank-${message.role}`));
    const element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    element.id = `m-${message.id}`;
    element.dataset.id = message.id;
    const view = new View(element);
    view.update(message);
    this.views.set(message.id, view);
    if (message.run) this.runs.set(message.run.run_id, message.id);
    this.transcript.querySelector(".shared-empty")?.remove();
    this.transcript.append(element);
  }

  /** @param {any[]} messages */
  replace(messages) {
    this.transcript.replaceChildren();
    this.views.clear();
    this.runs.clear();
    for (const message of messages) this.add(message);
    return true;
  }
}
