/** One message in the page: its element, text and status. The element comes from the server's template. */

import { TROUBLE, noteModeration, noteOf } from "antiphon/conversation/answer-notes";
import { describeAnswer, fileName, showChanges, showVersions } from "antiphon/conversation/message-marks";
import { showPeople } from "antiphon/conversation/message-people";
import { LiveText, showFinished } from "antiphon/conversation/live-text";
import { Thinking } from "antiphon/conversation/thinking";
import { t } from "antiphon/lib/texts";
import { codePoints, firstPoints, skipPoints } from "antiphon/wire/protocol";
import { isEndless } from "antiphon/lib/text";
import { dressAnswer, dressCode } from "antiphon/conversation/code";
import { showModeration } from "antiphon/conversation/moderation";
import { assignSources, showSources } from "antiphon/conversation/sources";
import { showFiles, showUses } from "antiphon/files/shown";
import { showSeam } from "antiphon/conversation/seam";
import { adoptSteps, assignSteps } from "antiphon/conversation/steps-loader";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").Message} Message */

const ACTIVE = new Set(["pending", "streaming"]);
/** @type {Record<string, string>} */
const ENDED = { "run.done": "complete", "run.stopped": "stopped", "run.failed": "failed", "run.interrupted": "interrupted" };

export class MessageView {
  /**
   * @param {HTMLElement} element
   * @param {(block: Element) => void} onBlock called with each block of an answer as it is finished
   * @param {(words: string) => void} say tells a screen reader
   */
  constructor(element, onBlock, say) {
    this.element = element;
    this.onBlock = onBlock;
    this.say = say;
    this.body = /** @type {HTMLElement} */ (element.querySelector(".message-body"));
    const { dataset } = element;
    this.id = dataset.id ?? "";
    this.parentId = dataset.parent || null;
    this.role = dataset.role ?? "";
    this.runId = dataset.run ?? "";
    this.attempt = Number(dataset.attempt) || 0;
    this.part = Number(dataset.part) || 1; // how many runs have written at the answer
    this.base = Number(dataset.base) || 0; // code points that were there before the latest of them
    /** What is waited for, and since when; on performance.now()'s clock. @type {import("antiphon/conversation/waiting").Kind} */
    this.awaited = /** @type {any} */ (dataset.awaited || "queue");
    this.waitingSince = performance.now() - (Number(dataset.waited) || 0);
    this.heardAt = performance.now(); // the latest text
    this.versions = dataset.versions ? dataset.versions.split(" ") : [];
    const [text, reasoning] = [...element.querySelectorAll(".message-source > script")].map((one) => JSON.parse(one.textContent || '""'));
    this.text = /** @type {string} */ (text ?? "");
    element.querySelector(".message-source")?.remove();
    this.points = codePoints(this.text);
    /** @type {LiveText | null} */
    this.live = null;
    this.model = dataset.model ?? "";
    this.context = /** @type {import("antiphon/conversation/context-use").ContextUse | null} */ (JSON.parse(dataset.context || "null"));
    this.clientId = ""; // of our own message, while the server does not have it
    this.placed = Boolean(this.id); // the server has told us all of it
    this.replaced = ""; // why parts of an answer are not as the model wrote them
    this.withheld = ""; // our text, while a reviewer has it
    this.thinking = this.role === "assistant" ? new Thinking(element, onBlock, say) : null;
    this.cost = /** @type {string | null} what an answer cost, told to the payer alone */ (null);
    showChanges(this);
    adoptSteps(element, say);
    if (reasoning) this.thinking?.assign(reasoning, this.active && !this.text);
    if (this.role === "assistant") {
      // A checkpoint says `streaming` also while the run has no word yet.
      if (this.active && this.points <= this.base && !reasoning) this.setStatus("pending");
      if (this.active) this.openLive();
      else dressAnswer(this.body, true);
    }
    showPeople(this);
  }

  get status() {
    return this.element.dataset.status ?? "";
  }

  get active() {
    return ACTIVE.has(this.status);
  }

  /** @param {string} status */
  setStatus(status) {
    this.element.dataset.status = status;
    this.element.toggleAttribute("aria-busy", ACTIVE.has(status));
    if (this.role === "assistant") this.note(TROUBLE[status] ?? "");
  }

  /** Why the message is incomplete or unsent, for the user; empty when nothing is wrong. */
  get trouble() {
    return this.element.querySelector(".message-note > p")?.textContent ?? "";
  }

  /** Shows a note below the message. @param {string} words */
  note(words) {
    const place = this.element.querySelector(".message-note > p");
    if (place && place.textContent !== words) place.textContent = words;
  }

  /**
   * What the answer waits for from now on, with its time counted from `since`, or from where it was counted already.
   * @param {import("antiphon/conversation/waiting").Kind} kind @param {number} [since]
   */
  await(kind, since = this.waitingSince) {
    this.awaited = kind;
    this.waitingSince = since;
    this.before = 0; // so many answers have their turn before this one, as `run.position` says
  }

  /** The run waits for a decision about a tool. The next attempt keeps what there is of the answer. @param {number} attempt */
  pause(attempt) {
    this.attempt = Math.max(this.attempt, attempt);
    this.thinking?.pause();
    this.live?.end(); // shows all of it; what follows opens it again
    this.live = null;
    this.await("person");
  }

  /** Sets the text shown while waiting for the first token. @param {string} words */
  wait(words) {
    this.element.querySelector(".waiting-words")?.replaceChildren(words);
  }

  /** Shows a text as it is. @param {string} text */
  showText(text) {
    this.setText(text);
    this.body.classList.toggle("endless", isEndless(text));
    this.body.textContent = text;
  }

  /** Takes over the server's state of the whole message. @param {Message} message */
  assign(message) {
    this.placed = true;
    if (this.role === "user") showModeration(this, message);
    this.id = message.id;
    this.parentId = message.parent_id;
    this.element.id = `m-${message.id}`;
    this.element.dataset.id = message.id;
    this.element.dataset.parent = message.parent_id ?? "";
    assignSources(this, message.run);
    if (message.versions) this.setVersions(message.versions);
    if (message.run) this.setRun(message.run);
    assignSteps(this, message.run);
    this.context = message.run?.context ?? this.context;
    if (message.summary) showSeam(this.element, message.summary);
    showChanges(this, message);
    if (this.role === "assistant") this.replaced = noteModeration(this.element, message.moderation);
    this.setStatus(message.status);
    if (this.role === "user") {
      this.showText(message.text);
      showFiles(this.element, message);
    } else if (this.active) {
      if (message.text !== this.text || !this.live) {
        this.setText(message.text);
        this.openLive();
      }
      this.thinking?.assign(message.run?.reasoning, this.points <= this.base);
      if (this.points <= this.base && !message.run?.reasoning) this.setStatus("pending");
    } else {
      this.setText(message.text);
      this.show(message.html);
      this.note(noteOf(message.run?.message, message.status, message.run?.finish, this.replaced));
      this.element.dataset.finish = message.run?.finish ?? "";
      this.thinking?.assign(message.run?.reasoning, false);
      this.element.dataset.continuable = String(message.run?.continuable ?? false);
      if (message.run) describeAnswer(this, message.run, message.usage);
      showUses(this.element, message.run?.files);
    }
    showPeople(this, message);
  }

  /** @param {string} text */
  setText(text) {
    this.text = text;
    this.points = codePoints(text);
  }

  /** Whether news of a message is older than what is shown: of a run before, or of the beginning of an ended one. @param {Message} message */
  isOld(message) {
    const { run } = message;
    if (!run || !this.runId) return false;
    if (run.run_id !== this.runId) return (run.part ?? 1) < this.part;
    return ACTIVE.has(message.status) && !this.active;
  }

  /** @param {{run_id: string, attempt: number, model?: string, part?: number, base_length?: number, waited_ms?: number, waiting_for?: string, kept?: {text: number, reasoning: number}}} run */
  setRun(run) {
    if (run.run_id !== this.runId) {
      if (this.runId) {
        this.thinking?.clear();
        assignSteps(this, null);
      }
      this.attempt = 0; // each run counts its own
      this.part = run.part ?? 1;
      this.base = run.base_length ?? 0;
      this.await(run.waiting_for ? "person" : "queue", performance.now() - (run.waited_ms ?? 0));
    } else if (run.attempt > this.attempt && this.active) {
      const kept = Math.max(this.base, run.kept?.text ?? 0); // a new attempt goes on after the finished steps
      this.thinking?.keep(run.kept?.reasoning ?? 0);
      if (this.points > kept) {
        this.setText(firstPoints(this.text, kept));
        this.openLive();
      }
    }
    this.runId = run.run_id;
    this.attempt = Math.max(this.attempt, run.attempt);
    this.element.dataset.model = this.model = run.model ?? this.model;
    if (run.model) /** @type {HTMLElement} */ (this.element.querySelector("h2")).textContent = fileName(run.model);
  }

  openLive() {
    this.live = new LiveText(this.body, () => {}, dressCode); // what was there before is not announced again
    if (this.text) this.live.write(this.text);
    this.live.onBlock = this.onBlock;
  }

  /**
   * @param {Frame} delta
   * @returns {boolean} false when text before it is missing
   */
  append(delta) {
    if (delta.attempt < this.attempt || !this.active) return true;
    if (delta.attempt > this.attempt) this.setRun(/** @type {any} */ (delta));
    if (delta.index > this.points) return false;
    this.heardAt = performance.now();
    const fresh = delta.index < this.points ? skipPoints(delta.text, this.points - delta.index) : delta.text;
    if (!fresh) return true;
    if (this.status === "pending") this.setStatus("streaming");
    if (this.thinking?.active) this.thinking.pause();
    this.element.classList.remove("is-counted");
    if (!this.live) this.openLive();
    this.text += fresh;
    this.points += codePoints(fresh);
    this.live?.write(fresh);
    return true;
  }

  /**
   * A delta of what the model thinks.
   * @param {Frame} delta
   * @returns {boolean} false when text before it is missing
   */
  think(delta) {
    if (delta.attempt < this.attempt || !this.active) return true;
    if (delta.attempt > this.attempt) this.setRun(/** @type {any} */ (delta));
    if (this.status === "pending") this.setStatus("streaming");
    return this.thinking?.append(delta) ?? true;
  }

  /**
   * The run's closing event: the streamed text becomes the finished HTML.
   * @param {Frame} event
   * @returns {boolean} false when text is missing
   */
  finish(event) {
    if (event.attempt < this.attempt) return true;
    if (event.next_attempt) {
      this.setRun({ run_id: event.run_id, attempt: event.next_attempt, kept: event.kept });
      this.await("queue");
      this.setStatus("pending");
      this.openLive();
      this.wait(t("The answer was interrupted. Starting again…"));
      return true;
    }
    if (event.text_length !== this.points || (event.reasoning?.length ?? 0) !== this.thinking?.points) return false;
    const status = ENDED[event.type];
    this.setStatus(status);
    this.live?.end();
    this.show(event.html);
    this.thinking?.end(event.reasoning?.ms);
    this.note(noteOf(event.message, status, event.finish, this.replaced));
    this.element.dataset.finish = event.finish ?? "";
    this.context = event.context ?? null;
    this.element.dataset.continuable = String(event.continuable ?? false);
    describeAnswer(this, { ...event, model: this.model }, event.message_usage);
    showUses(this.element, event.files);
    return true;
  }

  /** @param {string | null | undefined} html made and sanitised by the server */
  show(html) {
    this.body.classList.toggle("endless", isEndless(this.text));
    if (html) showFinished(this.body, html, (blocks) => dressCode(blocks, this.body.querySelector(".is-folded") !== null));
    else if (!this.live || this.live.text !== this.text) {
      this.openLive();
      this.live?.end();
    }
    this.live = null;
    dressAnswer(this.body);
    showSources(this);
  }

  /** @param {string[]} versions ids, oldest first; this message is one of them */
  setVersions(versions) {
    this.versions = versions;
    showVersions(this.element, versions, versions.indexOf(this.id));
  }
}
