/**
 * The path of messages that the page shows, and what each event does to it. Messages form a tree; shown is one path,
 * from the first message to the tip, or to where the reader turned off.
 */

import { isOwn } from "antiphon/conversation/branches";
import { MessageView } from "antiphon/conversation/message";
import { Orphans } from "antiphon/conversation/orphans";
import { showFiles } from "antiphon/files/shown";
import { showNewestSeam } from "antiphon/conversation/seam";
import { SideBySide, buildSection } from "antiphon/conversation/side-by-side";

/** @typedef {import("antiphon/wire/protocol").Message} Message */

export class Transcript {
  /**
   * @param {HTMLElement} root
   * @param {object} options
   * @param {string} options.userId @param {() => void} options.onChange after anything changed
   * @param {(block: Element) => void} options.onBlock @param {(words: string) => void} options.onWords for a screen reader
   * @param {(view: MessageView) => void} options.onEnd an answer ended
   * @param {(view: MessageView, model: string) => void} options.onChosen one of several answers goes on
   * @param {(view: MessageView, message: Message) => void} [options.onOffer] somebody else began another branch here
   */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    /** @type {MessageView[]} */
    this.path = [];
    /** @type {Map<string, string>} message id by run id */
    this.runs = new Map();
    this.tip = "";
    this.orphans = new Orphans();
    /** Answers side by side at the end of the path, which has the selected one of them. @type {SideBySide | null} */
    this.beside = null;
    /** The chosen answer by its question; empty while none is chosen. @type {Map<string, string>} */
    this.choices = new Map();
    this.adopt(root);
  }

  /** The messages that are shown: the path, and the answers beside its last one. @returns {MessageView[]} */
  get shown() {
    return this.beside ? [...new Set([...this.path, ...this.beside.views])] : this.path;
  }

  get last() {
    return this.path.at(-1);
  }

  get isPartial() {
    return Boolean(this.root.querySelector(".later")); // the end of the path is not loaded
  }

  /** The last answer in progress on this path, if any. */
  get running() {
    return this.allRunning.at(-1);
  }

  get allRunning() {
    return this.shown.filter((view) => view.active);
  }

  /** Whether something of ours is on its way, or an answer is: no other message may follow yet. */
  get busy() {
    return Boolean(this.running) || this.path.some((view) => view.status === "local");
  }

  /** Whether the page shows the branch that the server knows as the reader's, and so goes where it goes. */
  get following() {
    const known = this.path.findLast((view) => !view.clientId);
    return !known || !this.tip || known.id === this.tip || Boolean(this.beside?.versions.includes(this.tip));
  }

  /** @param {string} id */
  find(id) {
    return this.shown.find((view) => view.id === id);
  }

  /** Takes over messages that the server put into the page. @param {ParentNode} root @returns {MessageView[]} */
  adopt(root) {
    const piece = /** @type {HTMLElement | null} */ (root.querySelector(".piece"));
    this.tip = piece?.dataset.tip || this.tip;
    const views = [...root.querySelectorAll("article.message")]
      .filter((element) => !element.closest(".beside"))
      .map((element) => this.adoptOne(/** @type {HTMLElement} */ (element)));
    const section = /** @type {HTMLElement | null} */ (root.querySelector(".beside"));
    const beside = section ? this.sideBySide(section) : null;
    if (beside?.view) views.push(beside.view);
    if (root === this.root) {
      this.path = views;
      this.beside = beside;
    }
    this.adopted = beside;
    this.changed();
    return views;
  }

  /** @param {HTMLElement} element */
  adoptOne(element) {
    const view = new MessageView(element, this.options.onBlock, this.options.onWords);
    if (view.versions.length > 1) view.setVersions(view.versions);
    if (view.runId) this.runs.set(view.runId, view.id);
    if (element.dataset.compared) this.choices.set(view.id, element.dataset.chosen ?? "");
    return view;
  }

  /** @param {HTMLElement} section */
  sideBySide(section) {
    return new SideBySide(section, {
      adopt: (element) => this.adoptOne(element),
      onSelect: (before, after) => {
        this.path = this.path.map((view) => (view === before ? after : view));
        this.changed();
      },
    });
  }

  /** Puts earlier messages above. @param {DocumentFragment} piece */
  prepend(piece) {
    for (const stale of this.root.querySelectorAll(".earlier, .piece")) stale.remove();
    const tip = this.tip;
    const views = this.adopt(piece);
    this.tip = tip;
    this.path.unshift(...views);
    this.root.querySelector(".empty")?.after(piece);
    this.changed();
  }

  /** Shows another path from the piece's parent on. @param {DocumentFragment} piece @returns {MessageView | undefined} */
  turn(piece) {
    const parent = /** @type {HTMLElement | null} */ (piece.querySelector(".piece"))?.dataset.parent ?? "";
    const at = this.path.findIndex((view) => view.id === parent);
    const views = this.adopt(piece);
    for (const stale of this.root.querySelectorAll(at < 0 ? ".earlier, .piece, .later" : ".later")) stale.remove();
    this.cut(at + 1);
    this.path.push(...views);
    this.beside = this.adopted ?? null;
    this.root.append(piece);
    this.changed();
    return views[0];
  }

  /** Takes away what stands from a place on. @param {number} from */
  cut(from) {
    const removed = this.path.splice(from);
    if (this.beside?.view && removed.includes(this.beside.view)) {
      this.beside.end();
      this.beside = null;
    }
    for (const view of removed) view.element.remove();
  }

  /** @param {"user" | "assistant"} role */
  make(role) {
    const blank = /** @type {HTMLTemplateElement} */ (document.getElementById(`blank-${role}`));
    const piece = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
    return new MessageView(/** @type {HTMLElement} */ (piece.querySelector("article")), this.options.onBlock, this.options.onWords);
  }

  /** Shows one's message at once, before the server has it. @param {string} clientId @param {string} text @param {any[]} [files] */
  addLocal(clientId, text, files) {
    const view = Object.assign(this.make("user"), { clientId });
    view.showText(text);
    showFiles(view.element, { files });
    this.path.push(view);
    this.root.append(view.element);
    this.changed();
    return view;
  }

  /** @param {string} clientId */
  findLocal(clientId) {
    return this.path.find((view) => view.clientId === clientId);
  }

  /** The server has our message: what we showed of it becomes it. @param {string} clientId @param {string} id */
  confirm(clientId, id) {
    const local = this.findLocal(clientId);
    if (!local) return;
    const known = this.find(id);
    if (known && known !== local) this.remove(local);
    else {
      local.id = id;
      local.element.dataset.id = id;
      local.element.id = `m-${id}`;
      local.setStatus("complete");
      local.clientId = "";
      this.tip = id;
    }
    this.changed();
  }

  /** @param {MessageView} view */
  remove(view) {
    this.path = this.path.filter((other) => other !== view);
    view.element.remove();
    this.changed();
  }

  /** A new message, or (`again`) news of one; `own`: of the reader's branch. @param {Message} message */
  place(message, again = false, own = isOwn(message, this)) {
    if (message.comparison) this.choices.set(message.id, message.comparison.chosen || this.choices.get(message.id) || "");
    // A message below one of several answers has chosen it.
    if (this.beside?.versions.includes(message.parent_id ?? "")) this.choose(this.beside.promptId, message.parent_id ?? "");
    const following = this.following;
    const local = message.client_id ? this.findLocal(message.client_id) : undefined;
    const known = this.find(message.id) ?? local;
    if (known) {
      known.clientId = "";
      if (again && known.isOld(message)) return;
      if (message.run) this.runs.set(message.run.run_id, message.id);
      if (again || !known.placed) known.assign(message); // told twice, the beginning must not undo the end
      if (local) this.tip = message.id;
      return void this.orphans.release(message.id, (one) => this.place(one));
    }
    if (message.slot && message.parent_id && this.choices.get(message.parent_id) === "" && this.placeBeside(message)) {
      if (following || own) this.tip = message.id;
      return;
    }
    if (again) return; // of another branch, or above what is loaded: HTML that was made later, say
    const at = this.path.findIndex((view) => view.parentId === message.parent_id && !view.clientId);
    const parent = this.path.findIndex((view) => view.id === message.parent_id);
    const isBelow = parent < 0 || (this.isPartial && parent === this.path.length - 1); // of what is loaded
    if (at < 0 && isBelow && this.path.length) return void this.orphans.keep(message);
    if (at >= 0) {
      const sibling = this.path[at];
      if (sibling.versions.includes(message.id)) return;
      const versions = message.versions ?? [...(sibling.versions.length ? sibling.versions : [sibling.id]), message.id];
      sibling.setVersions(versions);
      if (!own) return void this.options.onOffer?.(sibling, message); // never forced on a reader
      this.cut(at);
      this.push({ ...message, versions });
    } else if (parent >= 0 && (this.path[parent + 1]?.parentId === message.id || this.path.slice(parent + 1).every((view) => view.clientId))) {
      this.push(message, parent + 1); // ours that are not sent yet, or that follow it, stay below
    } else if (this.path.length) return; // of a branch that is not shown
    else this.push(message);
    if (following || own) this.tip = message.id;
  }

  /** An answer side by side with others, if the page shows their place. @param {Message} message */
  placeBeside(message) {
    const promptId = message.parent_id ?? "";
    const parent = this.path.findIndex((view) => view.id === promptId);
    if (parent < 0) return false;
    // News of one that was tried again since: a newer answer stands at its place.
    if (this.beside?.promptId === promptId && this.beside.versions.includes(message.id)) return true;
    if (this.beside?.promptId !== promptId) {
      if (!this.path.slice(parent + 1).every((view) => view.clientId)) return false;
      const section = buildSection(promptId, 0);
      this.path[parent].element.after(section);
      this.beside = this.sideBySide(section);
    }
    const { beside } = this;
    const view = beside.put(message);
    if (view.runId) this.runs.set(view.runId, view.id);
    if (beside.view === view && !this.path.includes(view)) this.path.splice(parent + 1, 0, view);
    return true;
  }

  /**
   * One of several answers goes on: it stands alone then, and the others are its versions.
   * @param {string} promptId @param {string} messageId @param {string} [model] @returns {boolean} false when the page has not got it
   */
  choose(promptId, messageId, model = "") {
    if (this.choices.get(promptId) === messageId) return true;
    this.choices.set(promptId, messageId);
    const { beside } = this;
    if (beside?.promptId !== promptId) return true;
    const view = beside.views.find((one) => one.id === messageId);
    if (!view) return false;
    beside.selectView(view);
    this.beside = null;
    beside.collapse(view);
    this.tip = messageId;
    this.options.onChosen(view, model || view.model);
    this.changed();
    return true;
  }

  /** @param {Message} message @param {number} [at] */
  push(message, at = this.path.length) {
    const view = this.make(message.role);
    view.assign(message);
    const before = this.path[at]?.element ?? null;
    this.path.splice(at, 0, view);
    if (before) before.before(view.element);
    else this.root.append(view.element);
    if (view.runId) this.runs.set(view.runId, view.id);
    this.orphans.release(view.id, (one) => this.place(one));
  }

  changed() {
    const last = this.last;
    for (const view of this.path) view.element.classList.toggle("is-last", view === last);
    this.beside?.show();
    document.body.toggleAttribute("data-empty", this.path.length === 0);
    showNewestSeam(this.path);
    this.options.onChange?.();
  }
}
