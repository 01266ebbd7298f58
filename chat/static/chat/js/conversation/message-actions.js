/** The actions of a message's buttons. */

import { Branches } from "antiphon/conversation/branches";
import { confirmOn, copyText } from "antiphon/conversation/code";
import { SEE_CASES, giveBack } from "antiphon/conversation/moderation";
import { FetchError, fetchPiece, post } from "antiphon/lib/fetch";
import { cleanText } from "antiphon/lib/text";
import { MessageMenu } from "antiphon/conversation/message-menu";
import { lazily } from "antiphon/lib/sheets";
import { Ratings } from "antiphon/conversation/ratings";
import { t } from "antiphon/lib/texts";
import { openFile } from "antiphon/files/shown";
import { makeId } from "antiphon/wire/protocol";
import { showSeam } from "antiphon/conversation/seam";
import { showNote } from "antiphon/conversation/status";

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */

export class MessageActions {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.reporting = lazily(() => import("antiphon/conversation/report"), ({ ReportDialog }) => new ReportDialog(conversation));
    this.branches = new Branches(conversation);
    this.ratings = new Ratings(conversation);
    this.menu = new MessageMenu(conversation);
    conversation.outbox.onModerated = (text, reason) => giveBack(conversation.composer, text, reason);
    conversation.transcript.root.addEventListener("click", (event) => this.onClick(event));
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"));
    if (!button) return;
    if (button.dataset.action === "open-file") {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in another tab
      event.preventDefault();
      return void openFile(button);
    }
    const element = button.closest("article.message") ?? button.closest(".beside-column")?.querySelector("article.message");
    const view = this.conversation.transcript.shown.find((one) => one.element === element);
    this.run(button.dataset.action ?? "", button, view).catch((error) => {
      if (error instanceof FetchError || "code" in error) showNote(error.message, error.code === "moderated" ? SEE_CASES : undefined);
      else throw error;
    });
  }

  /** @param {string} action @param {HTMLElement} button @param {MessageView | undefined} view */
  async run(action, button, view) {
    const { outbox, composer } = this.conversation;
    if (action === "copy-code") return this.copy(button, button.closest(".code-block")?.querySelector("pre")?.textContent ?? "");
    if (action.startsWith("part-")) {
      const { actOnPart } = await import("antiphon/conversation/part-actions");
      const say = (/** @type {string} */ words) => this.conversation.announcer.say(words);
      return actOnPart(action, button, { copy: (text) => this.copy(button, text), say, fail: showNote });
    }
    if (action === "earlier") return this.earlier(button);
    if (action === "stop-all") return this.conversation.stop();
    if (action === "suggest") return composer.options.onSend(button.textContent?.trim() ?? "", { files: composer.files?.takeUploaded() });
    if (!view) return undefined;
    switch (action) {
      case "copy":
        return this.copy(button, view.text);
      case "report":
        return (await this.reporting()).open(button, view);
      case "rate":
        return this.ratings.toggle(button, view);
      case "message-menu":
        return this.menu.open(button, view);
      case "show-version":
        return this.show(view, button.dataset.version ?? "");
      case "speak":
        return this.conversation.onRead?.(view);
      case "edit":
        return this.edit(view);
      case "regenerate":
        return this.regenerate(button, view);
      case "continue":
        return this.goOn(button, view);
      case "stop":
      case "stop-one":
        return this.conversation.stop([view]);
      case "withdraw":
        return this.withdraw(view);
      case "choose":
        return this.choose(button, view);
      case "previous":
      case "next":
        return this.flip(view, action);
      case "undo-summary":
      case "use-summary":
        return this.useSummary(button, view, action === "use-summary");
      case "resend":
        return outbox.resend(view.clientId);
      case "discard":
        outbox.takeBack(view.clientId, false);
        return composer.field.focus();
      case "take-back": {
        const text = outbox.takeBack(view.clientId, true);
        composer.write(composer.field.value ? `${text}\n\n${composer.field.value}` : text);
        return composer.field.focus();
      }
      default:
        return undefined;
    }
  }

  /** @param {Element} button @param {string} text */
  async copy(button, text) {
    try {
      await copyText(text);
      confirmOn(button, this.conversation.page.urls.icons);
      this.conversation.announcer.say(t("Copied"));
    } catch {
      showNote(t("Your browser didn’t allow copying."));
    }
  }

  /** @param {MessageView} view */
  async edit(view) {
    if (this.conversation.transcript.busy) return showNote(t("An answer is still in progress. Stop it or wait until it’s finished."));
    const { socket, picker } = this.conversation;
    const { openEditor } = await import("antiphon/conversation/editor");
    const send = async (/** @type {string} */ text, /** @type {string[]} */ attachments) => {
      const { compared: models } = picker;
      const command = { type: "message.edit", message_id: view.id, client_id: makeId(), text: cleanText(text), attachments };
      await socket.request(models ? { ...command, models } : command);
      picker.compare([]);
    };
    return openEditor(view, send, { conversation: this.conversation });
  }

  /** Withdraws a message that waits for a reviewer: stops what would answer it, or deletes it. @param {MessageView} view */
  async withdraw(view) {
    const { conversation } = this;
    const answers = conversation.transcript.allRunning.filter((answer) => answer.parentId === view.id);
    await (answers.length ? conversation.stop(answers) : this.menu.delete(view));
    giveBack(conversation.composer, view.withheld);
    view.withheld = "";
    return undefined;
  }

  /** Goes on with one of several answers. @param {HTMLElement} button @param {MessageView} view */
  async choose(button, view) {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    try {
      await this.conversation.socket.request({ type: "answer.choose", message_id: view.id });
      this.conversation.composer.field.focus();
    } finally {
      button.ariaBusy = null;
    }
  }

  /** @param {HTMLElement} button @param {MessageView} view */
  async regenerate(button, view) {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    const { socket, picker, scroll, transcript } = this.conversation;
    const model = transcript.beside?.views.includes(view) ? view.model : picker.model;
    const command = { type: "message.regenerate", message_id: view.id, client_id: makeId() };
    try {
      await socket.request(model ? { ...command, model } : command);
      if (!transcript.beside) scroll.toEnd();
      this.conversation.composer.field.focus();
    } finally {
      button.ariaBusy = null;
    }
  }

  /** Has an answer that was cut continued in the same message. @param {HTMLElement} button @param {MessageView} view */
  async goOn(button, view) {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    try {
      await this.conversation.socket.request({ type: "message.continue", message_id: view.id, client_id: makeId() });
      this.conversation.announcer.say(t("Continuing the answer."));
      this.conversation.scroll.toEnd();
      this.conversation.composer.field.focus();
    } finally {
      button.ariaBusy = null;
    }
  }

  /** Goes to the version before or after. @param {MessageView} view @param {string} action */
  async flip(view, action) {
    const wanted = view.versions[view.versions.indexOf(view.id) + (action === "next" ? 1 : -1)];
    if (wanted) await this.show(view, wanted, action);
  }

  /** Shows the branch of another version. @param {MessageView} view @param {string} wanted @param {string} [action] */
  async show(view, wanted, action = "next") {
    const { scroll } = this.conversation;
    const top = view.element.getBoundingClientRect().top;
    const first = await this.branches.load(wanted);
    if (first?.id === wanted) scroll.scroller.scrollTop += first.element.getBoundingClientRect().top - top;
    scroll.read();
    void this.branches.remember(wanted);
    const again = /** @type {HTMLButtonElement | null} */ (first?.element.querySelector(`[data-action=${action}]`));
    (again?.disabled ? first?.element : again)?.focus({ preventScroll: true });
    this.conversation.announcer.say(t("Version {version}", { version: first?.element.querySelector(".versions-count")?.textContent ?? "" }));
  }

  /** Undoes the summary below a message, or uses it again. @param {HTMLElement} button @param {MessageView} view @param {boolean} used */
  async useSummary(button, view, used) {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    const { page, transcript, announcer } = this.conversation;
    const id = /** @type {HTMLElement | null} */ (button.closest(".seam"))?.dataset.id;
    try {
      const answer = await post(`${page.urls.root}c/${page.conversation_id}/summaries/${id}/`, page.csrf, { used: used ? "1" : "0" });
      showSeam(view.element, answer.summary);
      transcript.changed();
      const next = used ? "undo-summary" : "use-summary";
      /** @type {HTMLElement | null} */ (view.element.querySelector(`.seam [data-action=${next}]`))?.focus();
      announcer.say(used ? t("The summary is used.") : t("The summary is not used."));
    } finally {
      button.ariaBusy = null;
    }
  }

  /** @param {HTMLElement} button */
  async earlier(button) {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    const { transcript, scroll, page } = this.conversation;
    try {
      const piece = await fetchPiece(`${page.urls.root}c/${page.conversation_id}/older/?before=${button.dataset.before}`);
      const anchor = transcript.path[0]?.element;
      if (anchor) scroll.hold(anchor, () => transcript.prepend(piece));
    } finally {
      button.ariaBusy = null;
    }
  }
}
