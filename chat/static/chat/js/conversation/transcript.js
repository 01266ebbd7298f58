/**
 * The path of messages that the page shows, and what each event does to it. Messages form a tree; shown is one path,
 * from the first message to the tip, or to where the reader turned off.
 */

import { MessageView } from "antiphon/conversation/message";
import { showNewestSeam } from "antiphon/conversation/seam";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").Message} Message */

export class Transcript {
  /**
   * @param {HTMLElement} root
   * @param {object} options
   * @param {string} options.userId
   * @param {() => void} options.onChange after anything changed
   * @param {(block: Element) => void} options.onBlock
   * @param {(words: string) => void} options.onWords what a screen reader is to be told
   * @param {(view: MessageView) => void} options.onEnd an answer ended
   */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    /** @type {MessageView[]} */
    this.path = [];
    /** @type {Map<string, string>} message id by run id */
    this.runs = new Map();
    this.tip = "";
    this.adopt(root);
  }

  get last() {
    return this.path.at(-1);
  }

  /** The answer in progress on this path, if any. */
  get running() {
    return this.path.findLast((view) => view.active);
  }

  /** Whether something of ours is on its way, or an answer is: no other message may follow yet. */
  get busy() {
    return Boolean(this.running) || this.path.some((view) => view.status === "local");
  }

  /** Whether the page shows the newest branch, and so goes where it goes. */
  get following() {
    const known = this.path.findLast((view) => !view.clientId);
    return !known || !this.tip || known.id === this.tip;
  }

  /** @param {string} id */
  find(id) {
    return this.path.find((view) => view.id === id);
  }

  /** Takes over messages that the server put into the page. @param {ParentNode} root @returns {MessageView[]} */
  adopt(root) {
    const piece = /** @type {HTMLElement | null} */ (root.querySelector(".piece"));
    this.tip = piece?.dataset.tip || this.tip;
    const views = [...root.querySelectorAll("article.message")].map((element) => {
      const view = new MessageView(/** @type {HTMLElement} */ (element), this.options.onBlock, this.options.onWords);
      if (view.versions.length > 1) view.setVersions(view.versions);
      if (view.runId) this.runs.set(view.runId, view.id);
      return view;
    });
    if (root === this.root) this.path = views;
    this.changed();
    return views;
  }

  /** Puts earlier messages above. @param {DocumentFragment} piece */
  prepend(piece) {
    this.root.querySelector(".earlier")?.remove();
    this.root.querySelector(".piece")?.remove();
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
    if (at < 0) {
      this.root.querySelector(".earlier")?.remove();
      this.root.querySelector(".piece")?.remove();
    }
    this.cut(at + 1);
    this.path.push(...views);
    this.root.append(piece);
    this.changed();
    return views[0];
  }

  /** Takes away what stands from a place on. @param {number} from */
  cut(from) {
    for (const view of this.path.splice(from)) view.element.remove();
  }

  /** @param {"user" | "assistant"} role */
  make(role) {
    const blank = /** @type {HTMLTemplateElement} */ (document.getElementById(`blank-${role}`));
    const piece = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
    return new MessageView(/** @type {HTMLElement} */ (piece.querySelector("article")), this.options.onBlock, this.options.onWords);
  }

  /** Shows one's message at once, before the server has it. @param {string} clientId @param {string} text */
  addLocal(clientId, text) {
    const view = this.make("user");
    view.clientId = clientId;
    view.showText(text);
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

  /** A new message, or (`again`) news of one. @param {Message} message */
  place(message, again = false) {
    const following = this.following;
    const local = message.client_id ? this.findLocal(message.client_id) : undefined;
    const known = this.find(message.id) ?? local;
    if (known) {
      known.clientId = "";
      if (again && known.isOld(message)) return;
      if (message.run) this.runs.set(message.run.run_id, message.id);
      if (again || !known.placed) known.assign(message); // told twice, the beginning must not undo the end
      if (local) this.tip = message.id;
      return;
    }
    const at = this.path.findIndex((view) => view.parentId === message.parent_id && !view.clientId);
    const parent = this.path.findIndex((view) => view.id === message.parent_id);
    const isNew = !this.path[at]?.versions.includes(message.id);
    if (following || message.client_id) this.tip = message.id;
    if (at >= 0) {
      const sibling = this.path[at];
      const versions = message.versions ?? [...(sibling.versions.length ? sibling.versions : [sibling.id]), message.id];
      if (isNew) sibling.setVersions(versions);
      if (!isNew || !(following || message.client_id)) return;
      this.cut(at);
      this.push({ ...message, versions });
    } else if (parent === this.path.length - 1) {
      this.push(message);
    } else if (parent >= 0 && this.path.slice(parent + 1).every((view) => view.clientId)) {
      this.push(message, parent + 1); // ours are not sent yet: they stay below
    }
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
  }

  changed() {
    const last = this.last;
    for (const view of this.path) view.element.classList.toggle("is-last", view === last);
    document.body.toggleAttribute("data-empty", this.path.length === 0);
    showNewestSeam(this.path);
    this.options.onChange?.();
  }
}
