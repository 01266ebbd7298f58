/**
 * Several models' answers to one question, side by side; on a narrow screen one at a time, with tabs. One of them is
 * selected: the next message follows it, unless another one is chosen.
 */

import { MessageView } from "antiphon/conversation/message";
import { shortNames } from "antiphon/conversation/model-list";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Message} Message */
/** @typedef {{slot: number, panel: HTMLElement, tab: HTMLElement, view: MessageView}} Column */

const NARROW = matchMedia("(width < 56rem)"); // as in side-by-side.css

export class SideBySide {
  /**
   * @param {HTMLElement} element the section, with columns or without
   * @param {object} options
   * @param {(element: HTMLElement) => MessageView} options.adopt makes a view of an article
   * @param {(before: MessageView, after: MessageView) => void} options.onSelect
   */
  constructor(element, options) {
    this.element = element;
    this.options = options;
    this.promptId = element.dataset.prompt ?? "";
    this.size = Number(element.dataset.size) || 0;
    this.tabs = /** @type {HTMLElement} */ (element.querySelector("[role=tablist]"));
    this.box = /** @type {HTMLElement} */ (element.querySelector(".beside-columns"));
    this.stopAll = /** @type {HTMLButtonElement} */ (element.querySelector("[data-action=stop-all]"));
    /** @type {Column[]} in the order of their places */
    this.columns = [];
    /** All answers to the question, oldest first: also those that were tried again. @type {string[]} */
    this.versions = [];
    this.selected = 0; // index of a column
    const tabs = [...this.tabs.children]; // `insert` moves them
    for (const panel of /** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll(".beside-column"))) {
      const view = options.adopt(/** @type {HTMLElement} */ (panel.querySelector("article")));
      const tab = /** @type {HTMLElement} */ (tabs[this.columns.length]);
      this.insert({ slot: Number(panel.dataset.slot), panel, tab, view });
    }
    // What is whole is more likely to go on than what failed.
    const first = this.columns.findIndex(({ view }) => !["failed", "interrupted"].includes(view.status));
    this.selected = Math.max(0, first);
    this.tabs.addEventListener("click", (event) => this.onTab(event));
    this.tabs.addEventListener("keydown", (event) => this.onKey(event));
    for (const kind of ["click", "focusin"]) this.box.addEventListener(kind, (event) => this.onTouch(event));
    this.arrange = () => this.show();
    NARROW.addEventListener("change", this.arrange);
    this.show();
  }

  /** @returns {MessageView[]} */
  get views() {
    return this.columns.map(({ view }) => view);
  }

  /** The answer that the next message follows. @returns {MessageView | undefined} */
  get view() {
    return this.columns[this.selected]?.view;
  }

  get isWhole() {
    return this.columns.length >= this.size;
  }

  /** An answer at its place: a new one, or one that was tried again. @param {Message} message @returns {MessageView} */
  put(message) {
    const slot = message.slot ?? 0;
    let column = this.columns.find((one) => one.slot === slot);
    if (!column) {
      const { panel, tab } = this.build(slot);
      column = { slot, panel, tab, view: this.options.adopt(/** @type {HTMLElement} */ (panel.querySelector("article"))) };
      column.view.assign(message);
      const selected = this.columns[this.selected];
      this.insert(column);
      this.selected = selected ? this.columns.indexOf(selected) : 0;
    } else {
      const before = column.view;
      const fresh = this.build(slot).panel.querySelector("article");
      column.view = this.options.adopt(/** @type {HTMLElement} */ (fresh));
      column.view.assign(message);
      before.element.replaceWith(column.view.element);
      if (column === this.columns[this.selected]) this.options.onSelect(before, column.view);
    }
    this.note(message);
    this.show();
    return column.view;
  }

  /** @param {Column} column */
  insert(column) {
    const at = this.columns.findIndex((one) => one.slot > column.slot);
    const next = at < 0 ? undefined : this.columns[at];
    this.columns.splice(at < 0 ? this.columns.length : at, 0, column);
    this.box.insertBefore(column.panel, next?.panel ?? null);
    this.tabs.insertBefore(column.tab, next?.tab ?? null);
    this.note(column.view);
  }

  /** @param {{id: string, versions?: string[]}} one */
  note({ id, versions }) {
    for (const known of [...(versions ?? []), id]) if (known && !this.versions.includes(known)) this.versions.push(known);
  }

  /** A new column from the page's template. @param {number} slot */
  build(slot) {
    const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-beside-column"));
    const piece = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
    const panel = /** @type {HTMLElement} */ (piece.querySelector(".beside-column"));
    const tab = /** @type {HTMLElement} */ (piece.querySelector("[role=tab]"));
    panel.dataset.slot = String(slot);
    panel.id = `beside-${this.promptId}-${slot}`;
    tab.id = `${panel.id}-tab`;
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("aria-labelledby", tab.id);
    return { panel, tab };
  }

  /** @param {number} index */
  select(index) {
    if (index === this.selected || !this.columns[index]) return;
    const before = this.columns[this.selected].view;
    this.selected = index;
    this.show();
    this.options.onSelect(before, this.columns[index].view);
  }

  /** Selects the column of an answer. @param {MessageView} view */
  selectView(view) {
    this.select(this.columns.findIndex((column) => column.view === view));
  }

  /** Level with the state of the answers and the width of the screen. */
  show() {
    const narrow = NARROW.matches;
    const names = shortNames(this.columns.map(({ tab, view }) => view.model || (tab.textContent ?? "")));
    for (const [index, { panel, tab, view }] of this.columns.entries()) {
      const selected = index === this.selected;
      const status = view.active ? "active" : view.status === "complete" ? "complete" : "cut";
      tab.dataset.state = panel.dataset.state = status;
      panel.classList.toggle("is-selected", selected);
      panel.role = narrow ? "tabpanel" : "group";
      panel.hidden = narrow && !selected;
      tab.ariaSelected = String(selected);
      tab.tabIndex = selected ? 0 : -1;
      const name = names[index];
      for (const place of [tab.querySelector("span"), panel.querySelector(".beside-model")]) {
        if (place && place.textContent !== name) place.textContent = name;
      }
      view.element.classList.add("is-last"); // what is offered below the last answer is offered below each
      part(panel, "[data-action=stop-one]").hidden = !view.active;
      part(panel, "[data-action=choose]").ariaLabel = `${part(panel, "[data-action=choose]").textContent?.trim()}: ${name}`;
      part(panel, "[data-action=stop-one]").ariaLabel = t("Stop {name}", { name });
    }
    this.element.style.setProperty("--columns", String(this.columns.length));
    this.stopAll.hidden = this.views.filter((view) => view.active).length < 2;
  }

  /** Whether a screen reader is not told of a block: it gets the selected answer as it comes. @param {Element} block */
  isSilent(block) {
    return this.element.contains(block) && !this.view?.element.contains(block);
  }

  /** One answer was chosen: takes the section away and leaves the answer in its place. @param {MessageView} view */
  collapse(view) {
    this.element.replaceWith(view.element);
    this.end();
    view.setVersions(this.versions);
  }

  end() {
    NARROW.removeEventListener("change", this.arrange);
    this.element.remove();
  }

  /** @param {MouseEvent} event */
  onTab(event) {
    const tab = /** @type {Element} */ (event.target).closest("[role=tab]");
    this.select(this.columns.findIndex((column) => column.tab === tab));
  }

  /** Arrows go from tab to tab, as in ARIA's pattern. @param {KeyboardEvent} event */
  onKey(event) {
    const last = this.columns.length - 1;
    const [forth, back] = document.dir === "rtl" ? ["ArrowLeft", "ArrowRight"] : ["ArrowRight", "ArrowLeft"];
    const steps = /** @type {Record<string, number>} */ ({
      [forth]: this.selected === last ? 0 : this.selected + 1,
      [back]: this.selected === 0 ? last : this.selected - 1,
      Home: 0,
      End: last,
    });
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.select(steps[event.key]);
    this.columns[this.selected].tab.focus();
  }

  /** Whoever works in a column selects it. @param {Event} event */
  onTouch(event) {
    const panel = /** @type {Element} */ (event.target).closest(".beside-column");
    this.select(this.columns.findIndex((column) => column.panel === panel));
  }
}

/**
 * Says which of several answers the next message follows.
 * @param {HTMLElement} line @param {{beside: SideBySide | null, busy: boolean}} transcript
 */
export function showNext(line, { beside, busy }) {
  line.hidden = !beside || busy;
  part(line, "b").textContent = beside?.view?.model ?? "";
}

/** What a screen reader is told of an answer that ended. @param {MessageView} view @param {SideBySide | null} beside */
export function endOf(view, beside) {
  const words = view.status === "complete" && view.text ? t("Answer complete.") : view.trouble;
  return beside?.views.includes(view) ? `${view.model}: ${words}` : words;
}

/** A section without columns, from the page's template. @param {string} promptId @param {number} size */
export function buildSection(promptId, size) {
  const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-beside"));
  const piece = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
  const section = /** @type {HTMLElement} */ (piece.querySelector(".beside"));
  section.dataset.prompt = promptId;
  section.dataset.size = String(size);
  return section;
}

/** @param {HTMLElement} element @param {string} selector */
function part(element, selector) {
  return /** @type {HTMLElement} */ (element.querySelector(selector));
}
