/**
 * Calls of tools that wait for a person, under the answer they belong to, and who decided what. An answer without any
 * loads none of the rest.
 */

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/conversation/approval-box").ApprovalBox} ApprovalBox */
/** @typedef {import("antiphon/conversation/approval-card").WaitingCall} WaitingCall */
/** @typedef {import("antiphon/conversation/approval-words").ShownDecision} ShownDecision */
/** @typedef {{status: string, calls?: WaitingCall[], decisions?: ShownDecision[]}} ShownStep */

const ENDS = new Set(["run.done", "run.stopped", "run.failed", "run.interrupted", "run.resumed"]);

export class Approvals {
  /** @param {import("antiphon/conversation/conversation").Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    /** What follows is done in order, also while the modules are being loaded. @type {WeakMap<Element, Promise<ApprovalBox>>} */
    this.boxes = new WeakMap();
  }

  /** @param {MessageView} view */
  load(view) {
    const known = this.boxes.get(view.element);
    if (known) return known;
    const made = import("antiphon/conversation/approval-box").then(({ ApprovalBox }) => new ApprovalBox(view, this.conversation));
    made.catch(() => this.boxes.delete(view.element)); // without a connection: the next event tries again
    this.boxes.set(view.element, made);
    return made;
  }

  /** Takes over what the server put into the page. */
  look() {
    for (const view of this.conversation.transcript.shown) {
      const given = view.element.querySelector(":scope > .approvals > script");
      if (!given) continue;
      given.remove();
      this.assign(view, JSON.parse(given.textContent ?? "[]"), view.attempt);
    }
  }

  /** Brings it level with a snapshot. @param {import("antiphon/wire/protocol").Message[]} messages */
  restore(messages) {
    for (const message of messages) {
      const view = this.conversation.transcript.find(message.id);
      if (view && message.run) this.assign(view, /** @type {any} */ (message.run).steps ?? [], message.run.attempt);
    }
  }

  /** @param {MessageView} view @param {ShownStep[]} steps @param {number} attempt */
  assign(view, steps, attempt) {
    if (isWaited(steps) && view.active) view.pause(attempt + 1);
    const known = this.boxes.has(view.element);
    if (!known && !isWaited(steps) && !steps.some((step) => step.decisions?.length)) return;
    this.load(view).then((box) => box.assign(steps)).catch(() => {});
  }

  /** @param {Frame} event */
  apply(event) {
    if (event.type === "members.changed") return this.changeRole();
    const view = this.conversation.transcript.find(event.message_id);
    if (!view || (view.runId && event.run_id !== view.runId)) return;
    const known = this.boxes.get(view.element);
    if (event.type === "tool.approval") this.load(view).then((box) => box.ask(/** @type {any} */ (event))).catch(() => {});
    else if (event.type === "tool.decided") this.load(view).then((box) => box.decide(/** @type {any} */ (event))).catch(() => {});
    else if (event.type === "tool.result") known?.then((box) => box.drop(event.call_id)).catch(() => {});
    else if (ENDS.has(event.type)) known?.then((box) => box.end()).catch(() => {});
  }

  /** The reader may decide from now on, or may no more. */
  changeRole() {
    for (const view of this.conversation.transcript.shown) this.boxes.get(view.element)?.then((box) => box.changeRole()).catch(() => {});
  }
}

/** @param {ShownStep[]} steps */
function isWaited(steps) {
  return steps.some((step) => step.calls?.some((call) => call.status === "waiting"));
}
