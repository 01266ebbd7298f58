/**
 * The part of the list that is shown: a view of it, from its newest entry or from further down. Goes on in both directions
 * as one scrolls, is read again when it has changed, and keeps its place over navigations and reloads.
 */

import { GONE, fetchPiece } from "antiphon/lib/fetch";
import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

const REFRESH_MS = 300;
const AGAIN_MS = 3_000; // after the list could not be read, or while an entry is being renamed
const MOST_FAILURES = 5; // one after another; then the next notice or connection asks again
const PAGE = 40;
const MOST = 400; // entries in the page: beyond them those at the other end leave it
const NEAR = "600px"; // how far from the end of the list more of it is loaded
const SOON_MS = 1_000; // after midnight

export class ListWindow {
  /** @param {any} page what the server put into the page */
  constructor(page) {
    this.page = page;
    this.list = /** @type {HTMLElement} */ (document.getElementById("conversations"));
    this.timer = 0;
    this.heard = 0; // notices about the list
    this.failures = 0;
    this.day = new Date().toDateString();
    this.loads = false;
    /** @type {(() => void)[]} called when the list was read again, or more of it */
    this.onDrawn = [];
    this.edges = new IntersectionObserver((seen) => this.goOn(seen), { root: this.list, rootMargin: `${NEAR} 0px` });
    addEventListener("pagehide", () => this.keepPlace());
    document.addEventListener("visibilitychange", () => this.checkDay());
    this.waitForMidnight();
    void this.restorePlace().finally(() => this.watch());
  }

  get state() {
    return document.getElementById("list-state");
  }

  get view() {
    return this.state?.dataset.view ?? "";
  }

  /** The entries that pages go on from: the pinned ones at the top are not among them. @returns {HTMLElement[]} */
  get loose() {
    const pinned = this.view === "" || this.view.startsWith("folder:");
    return [.../** @type {NodeListOf<HTMLElement>} */ (this.list.querySelectorAll(pinned ? ".item:not([data-pinned])" : ".item"))];
  }

  /** @param {string} id @returns {HTMLElement | null} its entry, where it is listed */
  find(id) {
    return this.list.querySelector(`.item[data-id="${CSS.escape(id)}"]`);
  }

  /** Reads the list again, as much of it as is shown. */
  refresh(after = REFRESH_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.read(""), after);
  }

  /** The socket is open: what came between the making of the page's list and now was told to nobody. */
  catchUp() {
    this.read(this.heard ? "" : (this.state?.dataset.version ?? ""));
  }

  /** @param {Record<string, string>} asked */
  fetch(asked) {
    return fetchPiece(`${this.page.urls.conversations}?${new URLSearchParams(asked)}`);
  }

  /** @param {string} version of the list that is shown: if it is still the newest, nothing comes */
  async read(version) {
    const { heard, view } = this;
    const piece = await this.fetch({ count: String(PAGE), ...this.shown(), view, unless: version }).catch((error) => {
      if (view && view === this.view && error.message === GONE) void this.open("").catch(() => {}); // deleted in another tab
      return null;
    });
    if (view !== this.view) return undefined; // another list is shown meanwhile
    if (!piece && this.failures++ < MOST_FAILURES) return this.refresh(AGAIN_MS);
    if (!piece) return undefined;
    this.failures = 0;
    if (this.list.querySelector(".item-rename")) return this.refresh(AGAIN_MS);
    if (piece.childElementCount) this.draw(piece);
    // A notice that came meanwhile may be newer than what was read.
    return this.heard === heard ? undefined : this.refresh();
  }

  /** What of the list is shown, as a request names it. @returns {Record<string, string>} */
  shown() {
    const start = this.state?.dataset.start ?? "";
    return { count: String(Math.max(PAGE, this.loose.length)), ...(start ? { start } : {}) };
  }

  /** Shows another view of the list, or another part of it. @param {string} view @param {Record<string, string>} [place] */
  async open(view, place = {}) {
    const piece = await this.fetch({ view, count: String(PAGE), ...place });
    this.list.replaceChildren(piece);
    this.list.scrollTop = 0;
    this.drawn();
    const id = place.around;
    if (id) this.find(id)?.scrollIntoView({ block: "center" });
    else if (place.day) this.loose[0]?.scrollIntoView({ block: "start" });
  }

  /** @param {DocumentFragment} piece */
  draw(piece) {
    const focused = document.activeElement;
    const within = focused && this.list.contains(focused) ? focused : null;
    const id = /** @type {HTMLElement | null | undefined} */ (within?.closest(".item"))?.dataset.id;
    const folder = /** @type {HTMLElement | null | undefined} */ (within?.closest(".folder"))?.dataset.folder;
    const kind = ["item-menu", "item-check", "folder-link"].find((name) => within?.classList.contains(name)) ?? "item-link";
    const place = this.anchor();
    this.list.replaceChildren(piece);
    this.drawn();
    this.returnTo(place);
    const owner = folder ? this.list.querySelector(`.folder[data-folder="${CSS.escape(folder)}"]`) : id ? this.find(id) : null;
    /** @type {HTMLElement | null | undefined} */ (owner?.querySelector(`.${kind}`))?.focus({ preventScroll: true });
  }

  drawn() {
    this.markCurrent();
    this.watch();
    for (const tell of this.onDrawn) tell();
  }

  markCurrent() {
    for (const link of this.list.querySelectorAll(".item-link[aria-current]")) link.removeAttribute("aria-current");
    if (this.page.conversation_id) this.find(this.page.conversation_id)?.querySelector(".item-link")?.setAttribute("aria-current", "page");
  }

  watch() {
    this.edges.disconnect();
    for (const edge of this.list.querySelectorAll(".more")) this.edges.observe(edge);
  }

  /** @param {IntersectionObserverEntry[]} seen */
  goOn(seen) {
    const edge = seen.find((one) => one.isIntersecting)?.target;
    if (edge) void this.more(/** @type {HTMLElement} */ (edge)).catch(() => {}); // the button is still there
  }

  /** Loads what comes after the list's end, or before its beginning, where a button says so. @param {HTMLElement} button */
  async more(button, focus = false) {
    if (this.loads || !button.isConnected) return;
    this.loads = true;
    const { next, previous = "" } = button.dataset;
    try {
      const piece = await this.fetch({ view: this.view, ...(next ? { after: next } : { before: previous }) });
      if (!button.isConnected) return; // the list was read again
      const first = /** @type {HTMLElement | null} */ (piece.querySelector(next ? ".item-link" : ".item:last-of-type .item-link"));
      if (next) this.append(button, piece);
      else this.prepend(button, piece);
      if (focus) first?.focus({ preventScroll: !next });
    } finally {
      this.loads = false;
      this.watch();
    }
    for (const tell of this.onDrawn) tell();
  }

  /** @param {HTMLElement} button @param {DocumentFragment} piece */
  append(button, piece) {
    join([...this.list.querySelectorAll(".group")].at(-1), piece.querySelector(".group"), false);
    button.replaceWith(piece);
    const { loose } = this;
    if (loose.length > MOST) {
      const { scrollHeight, scrollTop } = this.list;
      this.list.querySelector(".newer")?.remove();
      const kept = drop(loose.slice(0, loose.length - MOST), loose[loose.length - MOST]);
      const start = `${kept.dataset.at}~${kept.dataset.id}`;
      if (this.state) this.state.dataset.start = start;
      kept.closest(".group")?.before(edge("newer", { action: "newer-conversations", previous: start }));
      this.list.scrollTop = scrollTop + this.list.scrollHeight - scrollHeight;
    }
    this.markCurrent();
  }

  /** @param {HTMLElement} button @param {DocumentFragment} piece */
  prepend(button, piece) {
    const { scrollHeight, scrollTop } = this.list;
    const state = this.state;
    const more = /** @type {HTMLElement | null} */ (piece.querySelector(".newer"));
    if (state) state.dataset.start = more?.dataset.previous ?? "";
    join(button.nextElementSibling, [...piece.querySelectorAll(".group")].at(-1), true);
    button.replaceWith(piece);
    this.list.scrollTop = scrollTop + this.list.scrollHeight - scrollHeight;
    const { loose } = this;
    if (loose.length > MOST) {
      this.list.querySelector(".older")?.remove();
      const kept = drop(loose.slice(MOST), loose[MOST - 1]);
      this.list.append(edge("older", { action: "more-conversations", next: `${kept.dataset.at}~${kept.dataset.id}` }));
    }
    this.markCurrent();
  }

  /** The first entry that is in view, and how far below the list's top it is. */
  anchor() {
    const { top } = this.list.getBoundingClientRect();
    const { scrollTop } = this.list;
    const first = scrollTop ? this.loose.find((item) => item.getBoundingClientRect().bottom > top) : undefined;
    return { view: this.view, id: first?.dataset.id ?? "", offset: first ? first.getBoundingClientRect().top - top : 0, top: scrollTop };
  }

  /** @param {{id: string, offset: number, top: number}} place */
  returnTo(place) {
    const item = place.id ? this.find(place.id) : null;
    if (item) this.list.scrollTop += item.getBoundingClientRect().top - this.list.getBoundingClientRect().top - place.offset;
    else this.list.scrollTop = place.top;
    return Boolean(item) || !place.id;
  }

  keepPlace() {
    remember("list", JSON.stringify({ ...this.anchor(), of: this.page.conversation_id }), "session");
  }

  /** Where the list was when this tab last showed it; the conversation that is open now is in view, if it is listed. */
  async restorePlace() {
    const id = this.page.conversation_id;
    /** @type {any} */
    let kept = null;
    try {
      kept = JSON.parse(recall("list", "session") ?? "null");
    } catch {
      // Something else is stored there.
    }
    const begins = new URLSearchParams(location.search).has("folder");
    if (kept && !begins) {
      const isElsewhere = kept.view !== this.view || (kept.id ? !this.find(kept.id) : this.state?.dataset.start);
      if (isElsewhere) await this.open(kept.view, kept.id ? { around: kept.id } : {}).catch(() => {}); // a folder that is gone
      this.returnTo(kept);
      await document.fonts.ready; // the headings get their height
      this.returnTo(kept);
    }
    const current = id ? this.find(id) : null;
    if (current && (!kept || kept.of !== id)) current.scrollIntoView({ block: kept ? "nearest" : "center" });
  }

  waitForMidnight() {
    const now = new Date();
    const next = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1);
    setTimeout(() => {
      this.checkDay();
      this.waitForMidnight();
    }, next.getTime() - now.getTime() + SOON_MS);
  }

  /** The headings name days: another day has other ones. */
  checkDay() {
    const day = new Date().toDateString();
    if (day === this.day) return;
    this.day = day;
    this.refresh(0);
  }
}

/** Takes entries out of the page. @param {HTMLElement[]} items @param {HTMLElement} kept the one beside them @returns {HTMLElement} `kept` */
function drop(items, kept) {
  for (const item of items) {
    const group = item.closest(".group");
    item.remove();
    if (!group?.querySelector(".item")) group?.remove();
  }
  return kept;
}

/** The button at an end of the page, where the list goes on. @param {"newer" | "older"} kind @param {Record<string, string>} data */
function edge(kind, data) {
  const textContent = kind === "newer" ? t("Show newer conversations") : t("Show earlier conversations");
  const button = Object.assign(document.createElement("button"), { type: "button", className: `button button-small more ${kind}`, textContent });
  Object.assign(button.dataset, data);
  return button;
}

/** Makes one group of two that follow each other, if they have the same heading. @param {Element | null | undefined} group @param {Element | null | undefined} other of the piece @param {boolean} first whether its entries go first */
function join(group, other, first) {
  if (!group?.matches(".group") || !other || group.querySelector("h2")?.textContent !== other.querySelector("h2")?.textContent) return;
  if (group.querySelector("[data-pinned]") && !other.querySelector("[data-pinned]")) return;
  const list = group.querySelector("ul");
  const items = other.querySelectorAll(".item");
  if (first) list?.prepend(...items);
  else list?.append(...items);
  other.remove();
}
