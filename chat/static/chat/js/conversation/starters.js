/** The buttons of an empty conversation: the chosen preset's starters, else the page's own suggestions. */

import { fetchJson } from "antiphon/lib/fetch";

export class Starters {
  /** @param {HTMLElement | null} list @param {string} root the URL of presets */
  constructor(list, root) {
    this.list = list;
    this.root = root;
    this.usual = list ? [...list.children] : [];
    this.shown = ""; // the preset whose starters are shown, or asked for
    /** @type {Map<string, string[]>} */
    this.known = new Map();
  }

  /** @param {{id: string, starters?: boolean} | undefined} preset what is chosen */
  async show(preset) {
    const id = preset?.starters ? preset.id : "";
    if (!this.list || id === this.shown) return;
    this.shown = id;
    let starters = this.known.get(id) ?? [];
    if (id && !starters.length) {
      try {
        ({ starters } = await fetchJson(`${this.root}${id}/starters/`));
        this.known.set(id, starters);
      } catch {
        this.shown = ""; // asked again when it is chosen again; one can write without them
        return;
      }
      if (this.shown !== id) return; // something else was chosen meanwhile
    }
    this.list.replaceChildren(...(starters.length ? starters.map((words) => this.button(words)) : this.usual));
  }

  /** @param {string} words */
  button(words) {
    const item = /** @type {HTMLElement} */ (this.usual[0].cloneNode(true));
    /** @type {HTMLElement} */ (item.querySelector("span")).textContent = words;
    return item;
  }
}
