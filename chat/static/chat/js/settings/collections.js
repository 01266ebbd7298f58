/** The page of a collection: files are added by the button, by drop and from one's files, and reading is followed. */

import { readEntries } from "antiphon/files/entries";
import { Uploads } from "antiphon/files/uploads";
import { fetchJson, post } from "antiphon/lib/fetch";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/files/uploads").Entry} Entry */

const POLL_MS = 2000;
const MOST = 1000; // files of one drop

/** @param {HTMLElement} root @param {() => void} reload shows the page again as it is now */
export function startCollection(root, reload) {
  const state = /** @type {HTMLElement | null} */ (root.querySelector("[data-follow]"));
  const place = /** @type {HTMLElement | null} */ (root.querySelector("[data-collection]"));
  const adding = place ? new Adding(place, root, reload) : null;
  if (state) setTimeout(() => void follow(state, adding, reload), POLL_MS);
}

/** Asks how many files are ready, until none is left to be read. @param {HTMLElement} state @param {Adding | null} adding @param {() => void} reload */
async function follow(state, adding, reload) {
  if (!state.isConnected) return; // another page is shown
  try {
    const { files, ready, failed, pending, embedding } = await fetchJson(state.dataset.follow ?? "");
    if (!state.isConnected) return;
    if (!pending && !embedding && !adding?.isBusy) return void reload();
    const words = [tn("{ready} of {count} file ready", "{ready} of {count} files ready", files, { ready })];
    if (failed) words.push(tn("{count} without readable text", "{count} without readable text", failed));
    if (embedding) words.push(tn("{count} found by words only until it is prepared", "{count} found by words only until they are prepared", embedding));
    state.textContent = words.join(" · ");
  } catch {
    // The server can't be reached: the next turn tries again.
  }
  setTimeout(() => void follow(state, adding, reload), POLL_MS);
}

class Adding {
  /** @param {HTMLElement} place @param {HTMLElement} root @param {() => void} reload */
  constructor(place, root, reload) {
    this.place = place;
    this.reload = reload;
    this.csrf = () => /** @type {HTMLInputElement} */ (place.querySelector("[name=csrfmiddlewaretoken]")).value;
    this.list = /** @type {HTMLElement} */ (place.querySelector(".collection-uploads"));
    /** @type {Map<Entry, HTMLElement>} */
    this.rows = new Map();
    /** @type {Set<Entry>} */
    this.joining = new Set();
    this.added = 0;
    this.uploads = new Uploads({ root: place.dataset.root ?? "/", csrf: this.csrf, onChange: (entry) => this.show(entry) });
    const input = /** @type {HTMLInputElement} */ (place.querySelector("input[type=file]"));
    const find = (/** @type {string} */ name) => /** @type {HTMLElement} */ (place.querySelector(name));
    find("[data-choose]").addEventListener("click", () => input.click());
    find("[data-own]").addEventListener("click", () => void this.offer(find(".collection-own")));
    const chosen = () => {
      this.add([...(input.files ?? [])]);
      input.value = "";
    };
    input.addEventListener("change", chosen);
    chosen(); // before this script was loaded
    for (const kind of ["dragover", "drop"]) {
      root.addEventListener(kind, (event) => {
        const { dataTransfer: data } = /** @type {DragEvent} */ (event);
        if (!place.isConnected || !data?.types.includes("Files")) return;
        event.preventDefault();
        event.stopPropagation();
        if (kind === "drop") void readEntries([...data.items].map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()), MOST).then((files) => this.add(files));
      });
    }
  }

  get isBusy() {
    return [...this.rows.keys()].some((entry) => ["waiting", "sending", "retrying", "checking"].includes(entry.state)) || this.joining.size > 0;
  }

  /** @param {File[]} files */
  add(files) {
    for (const blob of files) {
      /** @type {Entry} */
      const entry = { key: blob.name, name: blob.name, size: blob.size, blob, file: null, state: "waiting", reason: "", received: 0, sent: 0, tries: 0, restarts: 0, timer: 0, chunkBytes: 0, request: null };
      const row = document.createElement("li");
      this.rows.set(entry, row);
      this.list.append(row);
      this.uploads.start(entry);
      this.show(entry);
    }
    this.list.hidden = !this.rows.size;
  }

  /** @param {Entry} entry */
  show(entry) {
    const row = this.rows.get(entry);
    if (!row || row.dataset.joined) return;
    const name = Object.assign(document.createElement("strong"), { textContent: entry.name, dir: "auto" });
    row.replaceChildren(name, " ", this.words(entry));
    row.dataset.state = entry.state;
    if (entry.state === "failed") row.append(" ", this.button(t("Try again"), () => this.uploads.retry(entry)));
    if (entry.state !== "done") row.append(" ", this.button(t("Cancel"), () => this.drop(entry)));
    else if (!this.joining.has(entry)) void this.join(entry, row);
  }

  /** @param {Entry} entry */
  words(entry) {
    if (entry.state === "failed" || entry.state === "retrying") return entry.reason;
    if (entry.state === "done") return t("uploaded");
    return entry.state === "checking" ? t("being checked…") : t("{percent} %", { percent: Math.floor((100 * entry.sent) / Math.max(entry.size, 1)) });
  }

  /** @param {string} words @param {() => void} run */
  button(words, run) {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "button button-small", textContent: words });
    made.addEventListener("click", run);
    return made;
  }

  /** Puts an uploaded file into the collection. @param {Entry} entry @param {HTMLElement} row */
  async join(entry, row) {
    this.joining.add(entry);
    try {
      const { new: isNew } = await post(this.place.dataset.collection ?? "", this.csrf(), { file: entry.file?.id ?? "" });
      row.dataset.joined = "1";
      this.added += 1;
      row.replaceChildren(Object.assign(document.createElement("strong"), { textContent: entry.name, dir: "auto" }), " ", isNew ? t("added") : t("is in this collection already"));
      if (!isNew) row.dataset.known = "1";
    } catch (error) {
      entry.state = "failed";
      row.dataset.joined = "1";
      row.dataset.state = "failed";
      row.replaceChildren(Object.assign(document.createElement("strong"), { textContent: entry.name, dir: "auto" }), " ", /** @type {Error} */ (error).message);
    }
    this.joining.delete(entry);
    this.finish();
  }

  /** @param {Entry} entry */
  drop(entry) {
    this.uploads.cancel(entry);
    this.rows.get(entry)?.remove();
    this.rows.delete(entry);
    this.list.hidden = !this.rows.size;
    this.finish();
  }

  /** Shows the collection with what was added, unless something must be read first. */
  finish() {
    if (this.isBusy || !this.added) return;
    const isPlain = [...this.rows].every(([entry, row]) => entry.state === "done" && !row.dataset.known);
    if (isPlain) this.reload();
  }

  /** Offers the person's own files, the newest first. @param {HTMLElement} place */
  async offer(place) {
    place.hidden = !place.hidden;
    if (place.hidden) return;
    place.textContent = t("Loading…");
    try {
      const { files } = await fetchJson(`${this.place.dataset.root}attachments/`);
      const list = document.createElement("ul");
      list.className = "settings-list";
      for (const file of /** @type {{id: string, name: string, collection?: {name: string}}[]} */ (files)) {
        const item = document.createElement("li");
        const words = Object.assign(document.createElement("span"), { textContent: file.name, dir: "auto" });
        const button = this.button(t("Add"), () => {
          button.disabled = true;
          post(this.place.dataset.collection ?? "", this.csrf(), { file: file.id }).then(
            ({ new: isNew }) => button.replaceWith(isNew ? t("added") : t("is in this collection already")),
            (error) => {
              button.disabled = false;
              words.textContent = `${file.name}: ${/** @type {Error} */ (error).message}`;
            },
          );
        });
        button.setAttribute("aria-label", t("Add {name}", { name: file.name }));
        item.append(words, button);
        list.append(item);
      }
      const done = this.button(t("Done"), () => this.reload());
      place.replaceChildren(files.length ? list : Object.assign(document.createElement("p"), { className: "form-note", textContent: t("You have no files yet.") }), done);
    } catch (error) {
      place.textContent = /** @type {Error} */ (error).message;
    }
  }
}
