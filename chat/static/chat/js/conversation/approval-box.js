/** The part of an answer that shows what waits for a decision, and the lines of what was decided. */

import { ApprovalCard } from "antiphon/conversation/approval-card";
import { decisionWords, showWhen } from "antiphon/conversation/approval-words";
import { titleWords } from "antiphon/conversation/step-words";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/approval-card").WaitingCall} WaitingCall */
/** @typedef {import("antiphon/conversation/approval-words").ShownDecision} ShownDecision */

export class ApprovalBox {
  /**
   * @param {import("antiphon/conversation/message").MessageView} view
   * @param {import("antiphon/conversation/conversation").Conversation} conversation
   */
  constructor(view, conversation) {
    this.view = view;
    this.conversation = conversation;
    this.root = this.find();
    this.lines = /** @type {HTMLElement} */ (this.root.querySelector(".decisions"));
    this.lines.replaceChildren(); // the server's are made again
    /** @type {Map<string, ApprovalCard>} */
    this.cards = new Map();
  }

  get mayDecide() {
    const { page } = this.conversation;
    return page.role !== "viewer" && !page.suspended;
  }

  changeRole() {
    for (const card of this.cards.values()) card.allow(this.mayDecide);
    this.changed();
  }

  find() {
    const known = this.view.element.querySelector(":scope > .approvals");
    if (known) return /** @type {HTMLElement} */ (known);
    const made = document.createElement("section");
    made.className = "approvals";
    made.setAttribute("aria-label", t("Decisions about tools"));
    made.append(Object.assign(document.createElement("ul"), { className: "decisions" }));
    this.view.element.querySelector(":scope > .waiting")?.after(made);
    return made;
  }

  /** Brings it level with the server's state. @param {import("antiphon/conversation/approvals").ShownStep[]} steps */
  assign(steps) {
    const waiting = steps.flatMap((step) => step.calls ?? []).filter((call) => call.status === "waiting");
    const ids = new Set(waiting.map((call) => call.call_id));
    for (const id of [...this.cards.keys()]) if (!ids.has(id)) this.drop(id);
    for (const decision of steps.flatMap((step) => step.decisions ?? [])) this.line(decision);
    if (this.view.active) for (const call of waiting) this.place(call);
    this.changed();
  }

  /** A call begins to wait. @param {WaitingCall} call */
  ask(call) {
    if (this.cards.has(call.call_id)) return;
    this.place(call);
    this.changed();
    const what = call.question ? call.question.sentence : titleWords(call);
    this.conversation.announcer.say(this.mayDecide ? t("The answer is waiting for your decision: {what}", { what }) : t("The answer is waiting for a decision: {what}", { what }));
  }

  /** @param {WaitingCall} call */
  place(call) {
    if (this.cards.has(call.call_id)) return;
    const card = new ApprovalCard(call, {
      mayDecide: this.mayDecide,
      root: this.conversation.page.urls.root,
      send: (fields) => this.conversation.socket.request({ type: "tool.decide", run_id: this.view.runId, call_id: call.call_id, ...fields }),
    });
    this.cards.set(call.call_id, card);
    this.root.append(card.element);
  }

  /** Somebody has decided. @param {ShownDecision} decision */
  decide(decision) {
    const fresh = this.line(decision);
    const focused = this.cards.get(decision.call_id)?.element.contains(document.activeElement);
    this.drop(decision.call_id);
    if (fresh) this.conversation.announcer.say(fresh.querySelector("span")?.textContent ?? "");
    if (!focused) return;
    // The focus stays where the reader was: at what waits next, or at the line of what was decided.
    const next = [...this.cards.values()].at(0);
    if (next) next.focus();
    else (fresh ?? this.root).focus({ preventScroll: true });
  }

  /** The line of a decision; null where it is there already. @param {ShownDecision} decision */
  line(decision) {
    const key = `${decision.call_id} ${decision.at}`;
    if ([...this.lines.children].some((one) => /** @type {HTMLElement} */ (one).dataset.key === key)) return null;
    const line = document.createElement("li");
    line.dataset.key = key;
    line.dataset.decision = decision.decision;
    line.tabIndex = -1;
    const words = Object.assign(document.createElement("span"), { textContent: decisionWords(decision, this.conversation.page.user.id) });
    words.dir = "auto";
    line.append(words, " ", showWhen(decision.at));
    this.lines.append(line);
    return line;
  }

  /** A call waits no more. @param {string} id */
  drop(id) {
    this.cards.get(id)?.element.remove();
    this.cards.delete(id);
    this.changed();
  }

  /** The run goes on, or has ended. */
  end() {
    for (const id of [...this.cards.keys()]) this.drop(id);
  }

  changed() {
    this.view.element.toggleAttribute("data-asks", this.cards.size > 0);
    if (this.cards.size) this.view.wait(this.mayDecide ? t("Waiting for your decision…") : t("Waiting for a decision…"));
  }
}
