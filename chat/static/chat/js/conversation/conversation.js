/** The conversation of this page: connects socket, log cursor, transcript, outbox and composer. */

import { Approvals } from "antiphon/conversation/approvals";
import { Asking } from "antiphon/conversation/asking";
import { Announcer } from "antiphon/lib/screen-reader";
import { element } from "antiphon/lib/elements";
import { Composer } from "antiphon/conversation/composer";
import { showContextUse } from "antiphon/conversation/context-use";
import { adoptDraft } from "antiphon/conversation/drafts";
import { t } from "antiphon/lib/texts";
import { Subscription } from "antiphon/wire/log-cursor";
import { applyEvent, applySnapshot } from "antiphon/wire/apply-events";
import { MentionList } from "antiphon/conversation/mention-list";
import { Outbox } from "antiphon/wire/outbox";
import { Parameters } from "antiphon/conversation/parameters";
import { People } from "antiphon/conversation/people";
import { Picker } from "antiphon/conversation/picker";
import { Prompts } from "antiphon/conversation/prompts";
import { Queue } from "antiphon/conversation/queue";
import { Scroll } from "antiphon/conversation/scroll";
import { endOf, showNext } from "antiphon/conversation/side-by-side";
import { replaceAddress } from "antiphon/settings/open";
import { Socket } from "antiphon/wire/socket";
import { isRetryable } from "antiphon/wire/protocol";
import { LogIn } from "antiphon/wire/log-in";
import { ConnectionLine, showNote } from "antiphon/conversation/status";
import { remember } from "antiphon/lib/storage";
import { stopAnswers } from "antiphon/conversation/stopping";
import { Starters } from "antiphon/conversation/starters";
import { Tab } from "antiphon/lib/tab";
import { Temporary } from "antiphon/conversation/temporary";
import { Transcript } from "antiphon/conversation/transcript";
import { Waiting } from "antiphon/conversation/waiting";
/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */

const MAX_EARLY = 500;
export class Conversation {
  /** @param {any} page what the server put into the page */
  constructor(page) {
    this.page = page;
    this.stopping = /** @type {Set<string>} runs that are to stop */ (new Set());
    this.followed = ""; // the model of the selected one of several answers
    this.tab = new Tab();
    this.logIn = new LogIn(page);
    this.early = /** @type {Frame[]} events of a new conversation that came before we knew its id */ ([]);
    this.onListed = /** @type {((notice: Frame) => void) | null} */ (null);
    this.onNotice = /** @type {((frame: Frame) => void) | null} */ (null); // of staff, to the user
    this.onQuota = /** @type {((quotas: any[]) => void) | null} */ (null);
    this.listeners = /** @type {((frame: Frame) => void)[]} each hears every frame */ ([]);
    this.onEvent = /** @type {((event: Frame) => void) | null} */ (null);
    this.onAsked = /** @type {((frame: Frame) => void) | null} */ (null);
    this.onChosen = /** @type {((view: MessageView) => void) | null} */ (null);
    this.onRead = /** @type {((view: MessageView) => void) | null} */ (null);
    this.withFiles = /** @type {(use: (files: import("antiphon/files/composer-files").ComposerFiles) => unknown) => void} */ (this.onVisit = () => {});
    this.onChanged = this.onGone = /** @type {(() => void) | null} */ (null);
    this.listed = /** @type {Frame | null} the latest news of the list: it may come before a new conversation's id */ (null);
    this.announcer = new Announcer(element("announcer"));
    const mark = /** @type {HTMLElement} */ (document.querySelector(".piece"));
    this.transcript = new Transcript(element("transcript"), {
      userId: page.user.id,
      onChange: () => this.changed(),
      onBlock: (block) => !this.transcript.beside?.isSilent(block) && this.announcer.block(block),
      onWords: (words) => this.announcer.say(words),
      onEnd: (view) => this.announcer.say(endOf(view, this.transcript.beside)),
      onChosen: (view, model) => this.chosen(view, model),
    });
    this.approvals = new Approvals(this);
    this.waiting = new Waiting(() => this.transcript.allRunning, (words) => this.announcer.say(words), () => this.socket.ready);
    this.scroll = new Scroll(element("scroller"), element("transcript"), element("latest"));
    this.socket = new Socket({
      ticketUrl: page.urls.ticket,
      path: page.urls.socket,
      csrf: page.csrf,
      onHello: (hello) => this.onHello(hello),
      onFrame: (frame) => this.onFrame(frame),
      onState: (state, detail) => this.showState(state, detail),
      onLogin: () => this.leave(),
      readCsrf: () => this.logIn.readCsrf(),
      isAwaiting: () => Boolean(this.transcript.running),
    });
    this.line = new ConnectionLine(element("connection"), () => this.socket.wake());
    this.composer = new Composer(/** @type {HTMLFormElement} */ (element("composer")), {
      draftKey: () => `draft.${page.user.id}.${page.conversation_id ?? `new.${this.tab.id}`}`,
      onSend: (text, how) => this.send(text, how),
      onStop: () => this.stop(),
      onEditLast: () => this.editLast(),
    });
    this.queue = new Queue(this);
    this.outbox = new Outbox({
      socket: this.socket,
      transcript: this.transcript,
      queue: this.queue,
      tab: this.tab,
      userId: page.user.id,
      conversationId: () => page.conversation_id,
      onAccepted: (frame, command) => this.accepted(frame, command),
      onRefused: (words) => this.announcer.say(t("Not sent. {reason}", { reason: words })),
      onTakenBack: (files) => this.withFiles((taker) => taker.giveBack(files)),
    });
    this.temporary = new Temporary(page, (words) => this.announcer.say(words));
    this.picker = new Picker(/** @type {HTMLButtonElement} */ (element("model")), page, (words) => this.announcer.say(words));
    const starters = new Starters(document.querySelector(".suggestions"), page.urls.presets);
    this.picker.onPreset = (preset) => void starters.show(preset);
    this.picker.show();
    new Prompts(this.composer, page);
    this.asking = new Asking(page, this.composer, this.picker);
    new MentionList(this.composer, page, this.asking);
    this.parameters = new Parameters(page, this.picker, { isTemporary: () => this.temporary.on });
    this.people = new People(page, (words) => this.announcer.say(words), (frame) => this.socket.send(frame));
    this.subscription = /** @type {Subscription | null} */ (null);
    if (page.conversation_id) this.open(page.conversation_id, { epoch: mark.dataset.epoch ?? "", seq: Number(mark.dataset.seq) });
  }

  async start() {
    this.changed();
    const connected = this.socket.connect();
    await this.outbox.restore();
    if ([...this.outbox.items.values()].some((item) => item.command.temporary)) this.temporary.set(true);
    if (!this.page.conversation_id) await adoptDraft(this.composer, this.tab, `draft.${this.page.user.id}.new`);
    this.changed();
    return connected;
  }

  /** @param {import("antiphon/wire/socket").State} state @param {string} detail */
  showState(state, detail) {
    this.line.show(state, detail);
    if (state !== "open") this.outbox?.pump(); // `onHello` sends, after it has subscribed
  }

  /** @param {string} id @param {import("antiphon/wire/protocol").Position | null} position */
  open(id, position) {
    this.subscription = new Subscription(id, position, {
      request: (frame) => this.socket.send(frame),
      send: (frame) => this.socket.send(frame),
      onEvent: (event) => this.apply(event),
      // A snapshot that does not reach back to what is shown: the page itself does.
      onSnapshot: (snapshot) => {
        if (!applySnapshot(this.transcript, /** @type {any} */ (snapshot))) location.reload();
        this.approvals.restore(/** @type {any} */ (snapshot).messages);
        this.queue.replace(/** @type {any} */ (snapshot).queued);
        this.onEvent?.(/** @type {any} */ ({ type: "snapshot" }));
      },
    });
  }

  /** @param {Frame} hello */
  onHello(hello) {
    this.composer.limit = hello.limits?.text_bytes ?? this.composer.limit;
    this.picker.offer(hello);
    this.follow();
    this.queue.hello(hello);
    this.early = [];
    this.subscription?.subscribe();
    this.outbox.pump();
    this.logIn.succeeded();
  }

  /** @param {Frame} frame */
  onFrame(frame) {
    for (const hear of this.listeners) hear(frame);
    if (frame.type === "message.accepted") this.onAsked?.(frame);
    const ours = frame.conversation_id === this.page.conversation_id;
    if (typeof frame.seq === "number") {
      if (ours) this.subscription?.receive(frame);
      else if (!this.page.conversation_id && this.early.length < MAX_EARLY) this.early.push(frame);
    } else if (frame.type === "subscribed" && ours) this.subscription?.subscribed(frame);
    else if (frame.type === "reset" && ours) this.subscription?.resync();
    else if (frame.type === "conversation.listed") this.onListed?.((this.listed = frame));
    else if (ours && ["presence", "typing", "audience"].includes(frame.type)) this.people.presence.receive(frame);
    else if (ours && frame.type === "run.position") Object.assign(this.transcript.find(frame.message_id) ?? {}, { before: frame.before });
    else if (frame.type === "quota") this.onQuota?.(frame.quotas);
    else if (frame.type === "account.suspended" || frame.type === "mention" || frame.decided) this.onNotice?.(frame);
    else if (frame.type === "error") this.refused(frame);
  }

  /** An error: of the subscription, or of a frame that the server could not read. @param {Frame} frame */
  refused(frame) {
    if (!frame.ref) return void (this.socket.unanswered.rejectUnread(frame) || showNote(frame.message));
    if (!this.subscription?.waiting || frame.ref !== this.subscription.ref) return undefined;
    if (frame.code === "not_found") return this.onGone ? this.onGone() : location.reload();
    if (isRetryable(frame.code)) return this.subscription.retry(frame);
    return showNote(frame.message);
  }

  /** @param {Frame} event */
  apply(event) {
    this.people.apply(event);
    this.asking.apply(event);
    if (event.type === "conversation.updated") {
      if (typeof event.title === "string") this.setTitle(event.title);
      this.parameters.changed(event.parameters);
      return true;
    }
    const whole = applyEvent(this.transcript, event);
    this.approvals.apply(event);
    this.queue.apply(event);
    const dropped = event.parameters?.dropped;
    if (dropped) this.parameters.noteRefused(this.transcript.find(event.message_id)?.model ?? "", dropped);
    this.onEvent?.(event);
    return whole;
  }

  /** @param {string} text @param {import("antiphon/conversation/composer").How} [how] */
  send(text, how = {}) {
    const ask = this.asking.decide(text, Boolean(how.forced || how.steers));
    const whenBusy = ask === false ? undefined : this.queue.whenBusy(Boolean(how.steers));
    if (ask !== false && this.transcript.busy && !whenBusy) return this.composer.write(text, how.files);
    this.asking.sent();
    const last = this.transcript.last;
    const { preset, model, compared } = this.picker;
    const { beside, following } = this.transcript;
    const parentId = (following && !beside) || !last?.id ? undefined : last.id; // of several answers, the selected one
    const begins = { presetId: preset?.id, temporary: this.temporary.begins, options: this.page.conversation_id ? undefined : this.parameters.first, folderId: this.page.folder?.id };
    this.outbox.send(text, { parentId, ask, model, models: compared, whenBusy, files: how.files, ...begins });
    if (!this.queue.takes(whenBusy)) this.scroll.toEnd();
    return this.composer.field.focus();
  }

  /** @param {Frame} frame @param {Frame} command */
  accepted(frame, command) {
    if (frame.unnotified) showNote(t("You have mentioned many people within an hour, so nobody was notified of this message."));
    if (command.model && frame.run_id) this.page.model = command.model;
    if (command.models) this.picker.compare([]);
    if (this.page.conversation_id) return;
    if (frame.duplicate && this.outbox.restored.has(frame.ref ?? "")) {
      this.parameters.draft.clear();
      location.replace(`${this.page.urls.root}c/${frame.conversation_id}/`); // an earlier life of this page made it
      return;
    }
    remember(this.composer.options.draftKey(), null);
    this.page.conversation_id = frame.conversation_id;
    this.picker.begun(command.preset_id, command.model);
    this.parameters.begun(command.options);
    this.composer.changed();
    replaceAddress(this.page, `${this.page.urls.root}c/${frame.conversation_id}/`);
    element("bar").dataset.id = frame.conversation_id;
    element("chat-menu").hidden = this.people.button.hidden = this.people.sharing.hidden = false;
    this.open(frame.conversation_id, null);
    void (frame.duplicate ? this.subscription?.subscribe() : this.subscription?.followed(frame.position)); // by the server
    if (this.listed && this.listed.conversation_id === frame.conversation_id) this.onListed?.(this.listed);
    const early = this.early.filter((event) => event.conversation_id === frame.conversation_id);
    this.early = [];
    for (const event of early) this.subscription?.receive(event);
  }

  /** @param {MessageView[]} [views] one of several answers; else all that are in progress */
  stop(views) {
    return stopAnswers(this, views);
  }

  /** Of several answers, the next message follows the selected one, and its model. */
  follow() {
    showNext(element("goes-on"), this.transcript);
    const model = this.transcript.beside?.view?.model;
    if (!model || model === this.followed) return;
    if (this.picker?.choose((this.page.model = model))) this.followed = model; // before `hello`, the picker knows no other models
  }

  /** One of several answers goes on. @param {MessageView} view @param {string} model */
  chosen(view, model) {
    this.page.model = model;
    this.followed = "";
    this.picker.choose(model);
    this.announcer.say(t("The conversation continues with {model}.", { model }));
    this.onChosen?.(view);
  }

  editLast() {
    const view = this.transcript.path.findLast((one) => one.role === "user" && one.status === "complete");
    /** @type {HTMLElement | null | undefined} */ (view?.element.querySelector("[data-action=edit]"))?.click();
  }

  changed() {
    if (!this.composer) return; // while the page is being put together
    const running = this.transcript.allRunning.filter((view) => view.runId);
    this.composer.setState({
      busy: this.transcript.busy,
      canStop: running.length > 0,
      stopping: running.length > 0 && running.every((view) => this.stopping.has(view.runId)),
      held: this.transcript.path.some((view) => view.status === "unsent" && view.clientId),
    });
    showContextUse(element("context"), this.transcript.path);
    this.follow();
    this.onChanged?.();
    this.approvals.look();
    this.waiting.look();
    if (!this.transcript.running) this.outbox?.pump(); // what waits for an answer to end
  }

  /** @param {string} title empty: of a conversation whose first message was withheld */
  setTitle(title) {
    document.title = `${(element("title").textContent = title || t("Conversation"))} · ${document.body.dataset.site}`;
  }

  /** The session has ended: to the log-in page. The draft is kept. */
  leave() {
    if (!this.logIn.open()) this.line.show("stopped", t("You’re logged in, but the server refuses the connection. Reload the page to try again."));
  }
}
