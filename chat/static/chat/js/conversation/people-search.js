/** The field by which an owner adds a person: by email address or, where the site has a directory, by name. */

const TYPING_MS = 250; // after the last key, until names are looked for

export class PeopleSearch {
  /**
   * @param {HTMLElement} element
   * @param {object} options
   * @param {(query: string) => Promise<{id: string, name: string}[]>} options.find
   * @param {(who: Record<string, string>, role: string) => Promise<any>} options.add
   */
  constructor(element, options) {
    this.options = options;
    this.form = /** @type {HTMLFormElement} */ (element.querySelector("form"));
    this.field = /** @type {HTMLInputElement} */ (element.querySelector("input"));
    this.role = /** @type {HTMLSelectElement} */ (element.querySelector("select"));
    this.found = /** @type {HTMLElement} */ (element.querySelector(".people-found"));
    this.hint = /** @type {HTMLElement} */ (element.querySelector(".people-hint"));
    this.timer = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.field.value.trim()) this.add({ email: this.field.value.trim() });
      else this.field.focus();
    });
    this.field.addEventListener("input", () => this.typed());
    this.found.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("button"));
      if (button) this.add({ user_id: button.dataset.id ?? "" });
    });
  }

  /** @param {boolean} directory people are found by name too */
  showHint(directory) {
    this.field.placeholder = (directory ? this.field.dataset.both : this.field.dataset.email) ?? "";
  }

  typed() {
    clearTimeout(this.timer);
    const query = this.field.value.trim();
    if (query.length < 2 || query.includes("@")) return void this.found.replaceChildren();
    this.timer = setTimeout(() => this.look(query), TYPING_MS);
    return undefined;
  }

  /** @param {string} query */
  async look(query) {
    const people = await this.options.find(query).catch(() => []);
    if (query !== this.field.value.trim()) return; // typed on meanwhile
    this.found.replaceChildren(...people.map((person) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.id = person.id;
      button.textContent = person.name;
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
  }

  /** @param {Record<string, string>} who */
  async add(who) {
    if (!(await this.options.add(who, this.role.value))) return;
    this.field.value = "";
    this.found.replaceChildren();
    this.field.focus();
  }
}
