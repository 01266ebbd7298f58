/** Selects several conversations of the list: by checkbox, by a range with Shift, all; and does something with them. */

import { showFailure } from "antiphon/sidebar/failure";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/sidebar/organising").Order} Order */

export class Selection {
  /** @param {Order} order */
  constructor(order) {
    this.order = order;
    this.list = order.window.list;
    this.bar = /** @type {HTMLElement} */ (document.getElementById("selection-bar"));
    this.count = /** @type {HTMLElement} */ (document.getElementById("selection-count"));
    this.button = /** @type {HTMLElement} */ (document.getElementById("list-select"));
    this.on = false;
    /** @type {Set<string>} */
    this.chosen = new Set();
    this.last = ""; // that was chosen: where a range begins
    order.window.onDrawn.push(() => this.on && this.show());
    this.list.addEventListener("click", (event) => this.onClick(event), true);
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.on || event.defaultPrevented || document.querySelector("dialog:modal, :popover-open")) return;
      event.preventDefault();
      this.leave();
    });
    this.bar.addEventListener("click", (event) => {
      const action = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-many]"))?.dataset.many;
      if (action) void this.act(action).catch(showFailure);
    });
  }

  toggle() {
    if (this.on) return this.leave();
    this.on = true;
    this.chosen.clear();
    this.last = "";
    this.show();
    /** @type {HTMLElement | null} */ (this.list.querySelector(".item-check"))?.focus();
    return undefined;
  }

  /** Begins with an entry. @param {string} id */
  begin(id) {
    if (!this.on) this.toggle();
    this.choose(id, true);
    /** @type {HTMLElement | null | undefined} */ (this.order.window.find(id)?.querySelector(".item-check"))?.focus();
  }

  leave() {
    if (!this.on) return;
    const inside = this.bar.contains(document.activeElement) || this.list.contains(document.activeElement);
    this.on = false;
    this.chosen.clear();
    for (const box of this.list.querySelectorAll(".item-check")) box.remove();
    this.show();
    if (inside || document.activeElement === document.body) this.button.focus();
  }

  get items() {
    return [.../** @type {NodeListOf<HTMLElement>} */ (this.list.querySelectorAll(".item"))];
  }

  show() {
    this.bar.hidden = !this.on;
    this.list.toggleAttribute("data-selecting", this.on);
    this.button.setAttribute("aria-pressed", String(this.on));
    const archived = this.order.window.view === "archived";
    for (const [name, isShown] of [["archive", !archived], ["unarchive", archived]]) {
      /** @type {HTMLElement} */ (this.bar.querySelector(`[data-many=${name}]`)).hidden = !isShown;
    }
    if (!this.on) return;
    for (const item of this.items) {
      const id = item.dataset.id ?? "";
      let box = /** @type {HTMLInputElement | null} */ (item.querySelector(".item-check"));
      if (!box) {
        box = Object.assign(document.createElement("input"), { type: "checkbox", className: "item-check" });
        box.setAttribute("aria-label", item.querySelector(".item-link")?.textContent ?? "");
        item.prepend(box);
      }
      box.checked = this.chosen.has(id);
    }
    const { size } = this.chosen;
    this.count.textContent = size === 0 ? t("None selected") : tn("{count} selected", "{count} selected", size);
    for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (this.bar.querySelectorAll(".icon-button"))) button.disabled = !size;
  }

  /** @param {string} id @param {boolean} [on] */
  choose(id, on = !this.chosen.has(id)) {
    if (on) this.chosen.add(id);
    else this.chosen.delete(id);
    this.last = id;
    this.show();
  }

  /** From the one that was chosen last to this one. @param {string} id */
  range(id) {
    const ids = this.items.map((item) => item.dataset.id ?? "");
    const [from, to] = [ids.indexOf(this.last), ids.indexOf(id)].sort((a, b) => a - b);
    if (from < 0) return this.choose(id, true);
    for (const one of ids.slice(from, to + 1)) this.chosen.add(one);
    return this.show();
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const item = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".item"));
    if (!this.on || !item || /** @type {Element} */ (event.target).closest(".item-menu")) return;
    const box = /** @type {Element} */ (event.target).closest(".item-check");
    const id = item.dataset.id ?? "";
    if (!box) event.preventDefault(); // of the link
    event.stopPropagation();
    if (event.shiftKey && this.last) this.range(id);
    else this.choose(id);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!this.on) return;
    const item = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".item"));
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step && item) {
      const { items } = this;
      const next = items[items.indexOf(item) + step];
      if (!next) return;
      if (event.shiftKey) {
        this.chosen.add(item.dataset.id ?? "");
        this.choose(next.dataset.id ?? "", true);
      }
      /** @type {HTMLElement | null} */ (next.querySelector(".item-check"))?.focus();
    } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") this.all();
    else return;
    event.preventDefault();
  }

  all() {
    const { items } = this;
    const every = items.every((item) => this.chosen.has(item.dataset.id ?? ""));
    for (const item of items) {
      if (every) this.chosen.delete(item.dataset.id ?? "");
      else this.chosen.add(item.dataset.id ?? "");
    }
    this.show();
  }

  /** @param {string} action */
  async act(action) {
    if (action === "done") return this.leave();
    if (action === "all") return this.all();
    const ids = [...this.chosen];
    if (!ids.length) return undefined;
    if (action === "move" || action === "tags") {
      const filing = await this.order.dialogs();
      return void (action === "move" ? filing.move(ids) : filing.tags(ids));
    }
    if (!(await this.order.run(action, ids))) return undefined;
    const { page } = this.order;
    if (action === "delete" && ids.includes(page.conversation_id)) return undefined; // the notice leads away
    return this.leave();
  }
}
