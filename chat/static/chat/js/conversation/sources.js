/**
 * The sources of an answer: the list under it, the citations in its text, and the card that a citation opens. The
 * server writes the same for what is there when the page is loaded (chat/templatetags/sources.py).
 */

import { t } from "antiphon/lib/texts";

/** @typedef {{n: number, title: string, url: string, passage?: string, file?: string, label?: string, kind?: string, position?: number}} Source `file`: of a collection */
/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */

const MARK = /\[(\d{1,3}(?:\s?[,;]\s?\d{1,3}){0,9})\]/g;
const UNTOUCHED = "pre, code, a, kbd, samp, button, svg, .math";
const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");
const LONGEST = 300; // characters of a passage

/** @type {WeakMap<MessageView, Map<number, Source>>} */
const known = new WeakMap();

/** @param {MessageView} view @param {Source[]} sources */
function note(view, sources) {
  const found = known.get(view) ?? new Map();
  for (const source of sources) if (Number.isInteger(source.n) && !found.has(source.n)) found.set(source.n, source);
  known.set(view, found);
}

/** A call of a tool or a run has ended, perhaps with sources. @param {MessageView | undefined} view @param {Frame} event */
export function noteSources(view, event) {
  if (view && event.sources) note(view, event.sources);
}

/** What a snapshot says of an answer. @param {MessageView} view @param {any} run */
export function assignSources(view, run) {
  known.delete(view); // a file may have been deleted
  note(view, run?.sources ?? []);
  for (const step of run?.steps ?? []) for (const call of step.calls ?? []) note(view, call.sources ?? []);
}

/** The answer is finished and its HTML is shown: its citations become links, and its sources are listed. @param {MessageView} view */
export function showSources(view) {
  adopt(view);
  const sources = known.get(view);
  if (!sources?.size) return;
  cite(view, sources);
  const list = listOf(view.element.dataset.id ?? "", [...sources.values()].sort((one, other) => one.n - other.n));
  view.element.querySelector(".sources")?.remove();
  view.body.after(list);
}

/** What the server has listed already. @param {MessageView} view */
function adopt(view) {
  for (const item of /** @type {NodeListOf<HTMLLIElement>} */ (view.element.querySelectorAll(".sources li"))) {
    const title = item.querySelector(".source-title");
    const passage = item.querySelector(".source-passage")?.textContent ?? "";
    const link = title?.querySelector("a");
    const { sourceFile: file, position } = link?.dataset ?? {};
    note(view, [{ n: item.value, title: title?.textContent ?? "", url: link?.href ?? "", passage, file, position: Number(position), label: item.querySelector(".source-host")?.textContent ?? "" }]);
  }
}

/** @param {MessageView} view @param {Map<number, Source>} sources */
function cite(view, sources) {
  const walker = document.createTreeWalker(view.body, NodeFilter.SHOW_TEXT);
  /** @type {Text[]} */
  const texts = [];
  while (walker.nextNode()) {
    const text = /** @type {Text} */ (walker.currentNode);
    if (text.data.includes("[") && !text.parentElement?.closest(UNTOUCHED)) texts.push(text);
  }
  for (const text of texts) {
    /** @type {(string | Node)[]} */
    const parts = [];
    let end = 0;
    for (const match of text.data.matchAll(MARK)) {
      const numbers = match[1].split(/\D+/).map(Number);
      if (!numbers.every((number) => sources.has(number))) continue;
      parts.push(text.data.slice(end, match.index), ...numbers.map((number) => link(view, /** @type {Source} */ (sources.get(number)))));
      end = match.index + match[0].length;
    }
    if (end) text.replaceWith(...parts, text.data.slice(end));
  }
}

/** @param {MessageView} view @param {Source} source */
function link(view, source) {
  const made = document.createElement("a");
  made.className = "citation";
  made.href = `#source-${view.element.dataset.id}-${source.n}`;
  made.dataset.source = String(source.n);
  made.title = source.title.slice(0, 200);
  made.textContent = `[${source.n}]`;
  return made;
}

/** The address if it can be followed, and its host. @param {string} url @returns {{href: string, host: string}} */
function addressOf(url) {
  try {
    const parsed = new URL(url);
    const host = parsed.hostname.replace(/^www\./, "");
    return { href: ["http:", "https:"].includes(parsed.protocol) ? url : "", host };
  } catch {
    return { href: "", host: "" };
  }
}

/** @param {string} prefix @param {Source[]} sources */
function listOf(prefix, sources) {
  const made = /** @type {HTMLElement} */ (
    /** @type {HTMLTemplateElement} */ (document.getElementById("blank-sources")).content.firstElementChild?.cloneNode(true)
  );
  const list = /** @type {HTMLElement} */ (made.querySelector("ol"));
  const blank = /** @type {HTMLElement} */ (list.firstElementChild);
  list.replaceChildren(...sources.map((source) => {
    const item = /** @type {HTMLLIElement} */ (blank.cloneNode(true));
    const { href, host } = addressOf(source.url);
    const title = source.title || host || t("Source {number}", { number: source.n });
    item.id = `source-${prefix}-${source.n}`;
    item.value = source.n;
    const anchor = /** @type {HTMLAnchorElement} */ (item.querySelector("a"));
    if (source.file) {
      const page = source.label?.match(/\d+/)?.[0];
      anchor.href = `${PAGE.urls?.root ?? "/"}attachments/${source.file}/?view=1${page ? `#page=${page}` : ""}`;
      Object.assign(anchor.dataset, { sourceFile: source.file, position: source.position });
      anchor.textContent = title;
    } else if (href) {
      anchor.href = href;
      anchor.textContent = title;
    } else anchor.replaceWith(title);
    /** @type {HTMLElement} */ (item.querySelector(".source-host")).textContent = source.file ? source.label ?? "" : host;
    const passage = /** @type {HTMLElement} */ (item.querySelector(".source-passage"));
    const text = (source.passage ?? "").replace(/\s+/g, " ").trim();
    passage.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
    if (!text) passage.remove();
    return item;
  }));
  return made;
}

/** Opens a source's card at a citation. Without the card, and without scripts, the link leads to the list. */
export function startSourceCards() {
  const card = /** @type {HTMLElement | null} */ (document.getElementById("source-card"));
  if (!card || !("popover" in card)) return;
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const file = /** @type {HTMLElement | null} */ (event.target.closest("[data-source-file]"));
    if (file) {
      event.preventDefault();
      return void import("antiphon/files/viewer").then(({ openSource }) => openSource(file));
    }
    const citation = /** @type {HTMLElement | null} */ (event.target.closest(".citation"));
    if (!citation) return;
    const item = document.getElementById(citation.getAttribute("href")?.slice(1) ?? "");
    if (!item) return;
    event.preventDefault();
    open(card, citation, /** @type {HTMLLIElement} */ (item));
  });
  card.addEventListener("toggle", (event) => {
    if (/** @type {any} */ (event).newState === "closed" && (card.contains(document.activeElement) || document.activeElement === document.body)) opener?.focus({ preventScroll: true });
  });
  addEventListener("resize", () => opener && card.matches(":popover-open") && place(card, opener));
  addEventListener("scroll", () => card.matches(":popover-open") && !card.contains(document.activeElement) && card.hidePopover(), { capture: true, passive: true });
}

/** @type {HTMLElement | null} */
let opener = null;

/** @param {HTMLElement} card @param {HTMLElement} citation @param {HTMLLIElement} item */
function open(card, citation, item) {
  opener = citation;
  const content = [...item.childNodes].map((node) => node.cloneNode(true));
  const number = document.createElement("span");
  number.className = "source-number";
  number.textContent = String(item.value);
  card.replaceChildren(number, ...content);
  card.showPopover();
  place(card, citation);
  /** @type {HTMLElement} */ (card.querySelector("a") ?? card).focus({ preventScroll: true });
}

/** Puts the card below the citation, or above it where there is no room. @param {HTMLElement} card @param {HTMLElement} citation */
function place(card, citation) {
  const at = citation.getBoundingClientRect();
  const size = card.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8));
  const below = at.bottom + 6 + size.height <= innerHeight;
  card.style.left = `${left}px`;
  card.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - size.height - 6)}px`;
}
