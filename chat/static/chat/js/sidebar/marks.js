/** What the list says of each conversation (unread, in progress, waits, failed), and the tab's title of all of them. */

import { closeNotifications } from "antiphon/lib/push";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {{unread: number, running: boolean, waiting: string, decides: boolean, failed: boolean, version: number}} Mark */

const MOST = 100; // the server counts no further
const REFRESH_MS = 2_000; // pages that come back together do not read their lists at the same moment
const ENDS = /** @type {Record<string, string>} */ ({ "run.done": t("Answer ready"), "run.failed": t("Answer failed"), "run.interrupted": t("Answer failed") });
const YOURS = t("Waiting for you");

export class Marks {
  /**
   * @param {any} page what the server put into the page
   * @param {import("antiphon/sidebar/sidebar").Sidebar} sidebar
   * @param {import("antiphon/wire/socket").Socket} socket
   */
  constructor(page, sidebar, socket) {
    this.page = page;
    this.sidebar = sidebar;
    /** @type {Map<string, Mark>} */
    this.marks = new Map();
    this.ended = ""; // how an answer of this page ended while nobody looked
    this.base = document.title;
    sidebar.onDrawn = () => this.read();
    socket.on("unread", (frame) => {
      const { version = 0 } = frame;
      if (version < this.of(frame.conversation_id).version) return; // two processes send them: an older one may come later
      sidebar.heard++;
      this.set(frame.conversation_id, {
        unread: frame.count, running: frame.running, waiting: frame.waiting ?? "", decides: frame.decides ?? false, failed: frame.failed, version,
      });
    });
    socket.on("list.changed", () => {
      sidebar.heard++;
      sidebar.refresh();
    });
    socket.on("conversation.listed", (frame) => {
      if (frame.deleted) this.marks.delete(frame.conversation_id);
      else if (frame.running) this.set(frame.conversation_id, { ...this.of(frame.conversation_id), running: true });
      this.showTitle();
    });
    for (const [type, words] of Object.entries(ENDS)) {
      socket.on(type, (frame) => {
        if (frame.next_attempt || frame.conversation_id !== page.conversation_id) return;
        if (document.visibilityState !== "visible") this.ended = words;
        this.showTitle();
      });
    }
    let greeted = false;
    socket.on("hello", () => {
      if (greeted) sidebar.refresh(Math.random() * REFRESH_MS);
      else sidebar.catchUp();
      greeted = true;
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.ended = "";
      this.showTitle();
    });
    // The conversation's own title changes, too.
    const title = /** @type {HTMLTitleElement} */ (document.querySelector("title"));
    new MutationObserver(() => this.retitled()).observe(title, { childList: true });
    this.read();
  }

  /** @param {string} id @returns {Mark} */
  of(id) {
    return this.marks.get(id) ?? { unread: 0, running: false, waiting: "", decides: false, failed: false, version: 0 };
  }

  /** Takes over the marks of the list that the server made. */
  read() {
    for (const place of this.sidebar.list.querySelectorAll(".item-marks")) {
      const { unread, running, waiting, decides, failed, version } = /** @type {HTMLElement} */ (place).dataset;
      const id = /** @type {HTMLElement} */ (place.closest(".item")).dataset.id ?? "";
      const mark = {
        unread: Number(unread), running: running === "true", waiting: waiting ?? "", decides: decides === "true", failed: failed === "true",
        version: Number(version),
      };
      if (mark.version >= this.of(id).version) this.marks.set(id, mark);
      this.show(id);
    }
    this.showTitle();
  }

  /** @param {string} id @param {Mark} mark */
  set(id, mark) {
    this.marks.set(id, mark);
    this.show(id);
    this.showTitle();
    if (mark.waiting !== "approval") void closeNotifications(id, "decide");
  }

  /** @param {string} id */
  show(id) {
    const place = /** @type {HTMLElement | null | undefined} */ (this.sidebar.find(id)?.querySelector(".item-marks"));
    if (!place) return;
    const { unread, running, waiting, decides, failed } = this.of(id);
    const parts = [];
    if (waiting) parts.push(sign("waits", "II", waiting === "moderation" ? t("Waiting for a reviewer") : decides ? YOURS : t("Waiting for a decision")));
    else if (running) parts.push(sign("runs", "", t("Answer in progress")));
    else if (failed) parts.push(sign("failed", "!", t("An answer failed")));
    if (unread) parts.push(sign("unread", counted(unread), t("{count} unread", { count: counted(unread) })));
    place.replaceChildren(...parts);
  }

  /** Somebody else has set the title: ours goes before it. */
  retitled() {
    if (document.title !== this.shown) {
      this.base = document.title;
      this.showTitle();
    }
  }

  showTitle() {
    const looks = document.visibilityState === "visible";
    let unread = 0;
    let yours = false;
    for (const [id, mark] of this.marks) {
      if (looks && id === this.page.conversation_id) continue;
      unread += mark.unread;
      yours ||= mark.waiting === "approval" && mark.decides;
    }
    const words = `${unread ? `(${counted(unread)}) ` : ""}${yours ? `${YOURS} · ` : ""}${this.ended ? `${this.ended} · ` : ""}${this.base}`;
    this.shown = words;
    if (document.title !== words) document.title = words;
    showClosed(unread, yours);
  }
}

/**
 * What a closed sidebar hides, as a phone's always does: a dot on the button that opens it. Answers of one's own that wait
 * for a decision come before unread messages.
 * @param {number} unread @param {boolean} yours
 */
function showClosed(unread, yours) {
  const button = /** @type {HTMLElement | null} */ (document.querySelector("[data-action=open-sidebar]"));
  if (!button) return;
  const words = yours ? t("Open sidebar: an answer is waiting for you") : unread ? t("Open sidebar: {count} unread", { count: counted(unread) }) : t("Open sidebar");
  button.toggleAttribute("data-news", yours || unread > 0);
  button.setAttribute("aria-label", words);
}

/** @param {number} count */
function counted(count) {
  return count >= MOST ? `${MOST - 1}+` : String(count);
}

/** A sign for the eye, and its words for everybody else. @param {string} kind @param {string} shown @param {string} words */
function sign(kind, shown, words) {
  const element = Object.assign(document.createElement("span"), { className: `mark-${kind}`, title: words });
  const eye = Object.assign(document.createElement("span"), { textContent: shown });
  eye.setAttribute("aria-hidden", "true");
  element.append(eye, Object.assign(document.createElement("span"), { className: "visually-hidden", textContent: words }));
  return element;
}
