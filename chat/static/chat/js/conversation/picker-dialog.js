/**
 * The picker's dialog: a combobox with a listbox (ARIA's pattern). The focus stays in the field; the active option is
 * named by `aria-activedescendant`. Rows are made as they are needed, so that hundreds of models cost nothing.
 */

import { isComposing } from "antiphon/lib/keys";
import { arrange, marksOf, search } from "antiphon/conversation/model-list";
import { PickerCompare } from "antiphon/conversation/picker-compare";
import { buildRow, markRow, part } from "antiphon/conversation/picker-rows";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/model-list").Entry} Entry */
/** @typedef {import("antiphon/conversation/model-list").Group} Group */

const CHUNK = 16; // rows that are made at a time
const PAGE = 8; // rows that Page Up and Page Down move by
const AHEAD = 300; // pixels below the visible part for which rows are made
const WAIT_MS = 600; // for the list, before what `hello` said is shown
const COUNT_MS = 400; // after the last key, until the number of results is announced

export class PickerDialog {
  /** @param {import("antiphon/conversation/picker").Picker} picker */
  constructor(picker) {
    this.picker = picker;
    this.element = /** @type {HTMLDialogElement} */ (document.getElementById("models"));
    this.field = /** @type {HTMLInputElement} */ (this.element.querySelector("[role=combobox]"));
    this.box = /** @type {HTMLElement} */ (this.element.querySelector("[role=listbox]"));
    this.blank = /** @type {HTMLTemplateElement} */ (this.element.querySelector("template"));
    this.empty = /** @type {HTMLElement} */ (this.element.querySelector(".choices-empty"));
    this.trouble = /** @type {HTMLElement} */ (this.element.querySelector(".choices-trouble"));
    this.count = /** @type {HTMLElement} */ (this.element.querySelector("[role=status]"));
    this.details = /** @type {HTMLElement} */ (this.element.querySelector(".choice-details"));
    this.starButton = /** @type {HTMLButtonElement} */ (this.element.querySelector(".choice-star-button"));
    /** @type {Entry[]} the options in the order in which they are shown */
    this.entries = [];
    /** @type {Group[]} */
    this.groups = [];
    /** @type {HTMLElement[]} the rows made so far, of the first entries */
    this.rows = [];
    /** Rows by value, to be shown again. @type {Map<string, HTMLElement>} */
    this.known = new Map();
    this.active = -1;
    this.moved = false; // the user has gone to a row
    this.data = picker.entries();
    this.compare = new PickerCompare(this);
    this.field.addEventListener("input", () => this.filter());
    this.field.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("click", (event) => this.onClick(event));
    this.box.addEventListener("pointermove", (event) => this.onPointer(event));
    this.box.addEventListener("scroll", () => this.fillView(), { passive: true });
    this.box.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the field
    this.starButton.addEventListener("click", () => this.star(this.active));
  }

  get isOpen() {
    return this.element.open;
  }

  open() {
    if (this.isOpen) return;
    this.field.value = "";
    this.fail("");
    this.known.clear();
    this.data = this.picker.entries();
    this.compare.begin();
    this.element.showModal();
    // A phone's keyboard would cover the list.
    if (matchMedia("(hover: none) and (pointer: coarse)").matches) this.box.focus();
    else this.field.focus();
    this.moved = false;
    if (this.picker.list) this.filter();
    else this.wait();
  }

  /** Shows nothing until the list is there, or what `hello` said when it takes too long. */
  wait() {
    this.box.replaceChildren();
    this.box.ariaBusy = "true";
    this.empty.hidden = true;
    setTimeout(() => this.box.ariaBusy === "true" && this.filter(), WAIT_MS);
  }

  /** The models or presets have changed. */
  refresh() {
    if (!this.isOpen) return;
    const value = this.entries[this.active]?.value;
    this.known.clear();
    this.data = this.picker.entries();
    this.compare.show();
    this.filter();
    const at = this.moved ? this.entries.findIndex((entry) => entry.value === value) : -1;
    if (at >= 0) this.activate(at, true);
  }

  /** @param {string} words empty: there is no trouble */
  fail(words) {
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
  }

  filter() {
    this.box.ariaBusy = null;
    const query = this.field.value.trim();
    const { models, favourites, recent } = this.data;
    const presets = this.compare.on ? [] : this.data.presets;
    const { presets: first = "", favourites: starred = "", recent: used = "", models: all = "" } = this.box.dataset;
    this.groups = query
      ? [{ title: "", entries: search([...presets, ...models], query) }]
      : arrange(presets, models, favourites, recent, { presets: first, favourites: starred, recent: used, models: all });
    this.entries = this.groups.flatMap((group) => group.entries);
    this.starred = new Set(favourites);
    this.rows = [];
    this.active = -1;
    this.box.replaceChildren();
    this.empty.hidden = this.entries.length > 0;
    const chosen = query ? -1 : this.entries.findIndex((entry) => entry.value === this.picker.value);
    this.make(CHUNK);
    this.activate(Math.max(chosen, 0), true);
    requestAnimationFrame(() => this.fillView()); // a tall screen shows more than one chunk
    clearTimeout(this.counting);
    this.counting = setTimeout(() => this.announceCount(), COUNT_MS);
  }

  announceCount() {
    const { length } = this.entries;
    this.count.textContent = tn("{count} result", "{count} results", length);
  }

  /** Makes the rows of the first `count` entries. @param {number} count */
  make(count) {
    const end = Math.min(count, this.entries.length);
    let before = 0;
    for (const [at, group] of this.groups.entries()) {
      const stop = Math.min(end, before + group.entries.length);
      if (this.rows.length < stop) {
        const list = this.section(at, group);
        for (let index = this.rows.length; index < stop; index += 1) {
          const row = this.row(this.entries[index], index, group);
          this.rows.push(row);
          list.append(row);
        }
      }
      before += group.entries.length;
    }
  }

  /** The element of a group: made with its first row. @param {number} at @param {Group} group */
  section(at, group) {
    if (!group.title) return this.box;
    const known = /** @type {HTMLElement | null} */ (this.box.querySelector(`#choices-${at}`));
    if (known) return known;
    const section = document.createElement("div");
    section.id = `choices-${at}`;
    section.role = "group";
    section.setAttribute("aria-labelledby", `choices-${at}-title`);
    const title = document.createElement("div");
    title.id = `choices-${at}-title`;
    title.className = "choices-title";
    title.role = "presentation";
    title.textContent = group.title;
    section.append(title);
    this.box.append(section);
    return section;
  }

  /** The row of an entry at its place. @param {Entry} entry @param {number} index @param {Group} group */
  row(entry, index, group) {
    const known = this.known.get(entry.value);
    const selected = this.compare.on ? this.compare.picks.includes(entry.value) : entry.value === this.picker.value;
    const row = known ?? buildRow(this.blank, entry, { selected, canStar: Boolean(this.picker.list) });
    if (!known) {
      this.known.set(entry.value, row);
      this.mark(row, entry);
    }
    row.id = `choice-${index}`;
    row.dataset.index = String(index);
    row.ariaPosInSet = String(index + 1);
    row.ariaSetSize = String(this.entries.length);
    row.classList.remove("is-active");
    // Below its endpoint's name a row says what else there is to say.
    const { model } = entry;
    const about = group.endpoint !== undefined && model ? (model.id === entry.label ? "" : model.id) : entry.about;
    const noTools = model?.tools === false ? this.box.dataset.noTools ?? "" : "";
    part(row, ".choice-about").textContent = entry.gone ? this.box.dataset.gone ?? "" : [about, noTools].filter(Boolean).join(" · ");
    return row;
  }

  /** Shows and says whether an entry is a favourite. @param {HTMLElement} row @param {Entry} entry */
  mark(row, entry) {
    markRow(row, entry, { starred: Boolean(this.starred?.has(entry.value)), gone: this.box.dataset.gone ?? "" });
  }

  fillView() {
    const { scrollTop, clientHeight, scrollHeight } = this.box;
    if (this.rows.length < this.entries.length && scrollTop + clientHeight + AHEAD > scrollHeight) this.make(this.rows.length + CHUNK);
  }

  /** @param {number} index @param {boolean} scroll brings it into view */
  activate(index, scroll) {
    this.rows[this.active]?.classList.remove("is-active");
    this.active = Math.max(-1, Math.min(this.entries.length - 1, index));
    if (this.active >= this.rows.length) this.make(this.active + CHUNK);
    const row = this.rows[this.active];
    row?.classList.add("is-active");
    if (row) this.field.setAttribute("aria-activedescendant", row.id);
    else this.field.removeAttribute("aria-activedescendant");
    if (scroll && row) {
      if (this.active === 0) this.box.scrollTop = 0;
      else row.scrollIntoView({ block: "nearest" });
    }
    this.describe();
  }

  /** The line below the list says what the active row is. */
  describe() {
    const entry = this.entries[this.active];
    const model = entry?.model;
    this.details.textContent = model ? [model.id, ...marksOf(model)].join(" · ") : entry?.about ?? "";
    this.starButton.hidden = !model || !this.picker.list;
    const { add = "", remove = "" } = this.starButton.dataset;
    const starred = Boolean(entry && this.starred?.has(entry.value));
    this.starButton.classList.toggle("is-starred", starred);
    const words = starred ? remove : add;
    /** @type {HTMLElement} */ (this.starButton.querySelector("span")).textContent = words;
    this.starButton.ariaLabel = entry ? `${words}: ${entry.label}` : null;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (isComposing(event) || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.entries.length - 1;
    const { active } = this;
    if (event.key === "ArrowDown") this.activate(active >= last ? 0 : active + 1, true);
    else if (event.key === "ArrowUp") this.activate(active <= 0 ? last : active - 1, true);
    else if (event.key === "PageDown") this.activate(Math.min(last, active + PAGE), true);
    else if (event.key === "PageUp") this.activate(Math.max(0, active - PAGE), true);
    else if (event.key === "Home") this.activate(0, true);
    else if (event.key === "End") this.activate(last, true);
    else if (event.key === "Enter") this.pick(active);
    else return;
    this.moved = true;
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  onPointer(event) {
    if (event.pointerType !== "mouse") return;
    const index = indexOf(event.target);
    if (index < 0 || index === this.active) return;
    this.moved = true;
    this.activate(index, false);
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const index = indexOf(event.target);
    if (index < 0) return;
    if (/** @type {Element} */ (event.target).closest(".choice-star")) {
      this.activate(index, false);
      this.star(index);
    } else this.pick(index);
  }

  /** @param {number} index */
  pick(index) {
    const entry = this.entries[index];
    if (!entry || entry.gone) return;
    if (this.compare.on) return void this.compare.pick(entry.value, this.rows[index]);
    this.picker.picked(entry.value);
    this.element.close(); // the browser gives the focus back to where it was
  }

  /** The row stays where it is until the dialog is opened again. @param {number} index */
  star(index) {
    const entry = this.entries[index];
    if (!entry?.model || !this.picker.list) return;
    const starred = !this.starred?.has(entry.value);
    void this.picker.star(entry.value, starred);
    this.restar();
    this.count.textContent = starred ? t("{model} is a favourite", { model: entry.label }) : t("{model} is no longer a favourite", { model: entry.label });
  }

  /** Shows which rows are favourites. */
  restar() {
    this.data = this.picker.entries();
    this.starred = new Set(this.data.favourites);
    for (const entry of [...this.data.presets, ...this.data.models]) {
      const row = this.known.get(entry.value);
      if (row) this.mark(row, entry);
    }
    this.describe();
  }
}

/** @param {EventTarget | null} target */
function indexOf(target) {
  const row = /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest("[role=option]"));
  return row ? Number(row.dataset.index) : -1;
}
