/** Shows a message's files over the page: images, PDF in the browser's own viewer, text and tables. */

import { t, tn } from "antiphon/lib/texts";
import { showNote } from "antiphon/conversation/status";
import { fetchJson } from "antiphon/lib/fetch";
import { icon } from "antiphon/files/icons";
import { loadStyles } from "antiphon/files/loader";
import { pictureOf } from "antiphon/files/local-pictures";
import { addressOf, filesOf } from "antiphon/files/message-files";
import { isTable, tableOf } from "antiphon/files/tables";
import { fileWords } from "antiphon/files/words";

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */

/** @type {Viewer | undefined} */
let viewer;

/** @param {HTMLElement} link of a file */
export function openFile(link) {
  const message = link.closest("article, .queued, .my-files") ?? document.body;
  const id = /** @type {HTMLElement | null} */ (link.closest("[data-file]"))?.dataset.file;
  const files = filesOf(message).filter((file) => file.kind !== "other");
  viewer ??= new Viewer();
  void viewer.open(files, Math.max(0, files.findIndex((file) => file.id === id)));
}

/** Opens a file of a collection where a citation leads. @param {HTMLElement} link */
export async function openSource(link) {
  try {
    const file = await fetchJson(`${addressOf(link.dataset.sourceFile ?? "")}state/`);
    viewer ??= new Viewer();
    const page = new URL(/** @type {HTMLAnchorElement} */ (link).href).hash;
    await viewer.open([file], 0, { page, after: Number(link.dataset.position) - 1 });
  } catch {
    showNote(t("This file can’t be opened. It was deleted, or it is in a collection that you can’t use."));
  }
}

class Viewer {
  constructor() {
    this.files = /** @type {FileObject[]} */ ([]);
    this.at = 0;
    this.place = /** @type {{page: string, after: number} | null} */ (null);
    this.wanted = 0; // the number of the last file that was asked for
    this.dialog = Object.assign(document.createElement("dialog"), { className: "file-viewer" });
    this.dialog.setAttribute("aria-labelledby", "file-viewer-name");
    const head = document.createElement("header");
    const titles = Object.assign(document.createElement("div"), { className: "file-viewer-titles" });
    this.name = Object.assign(document.createElement("h2"), { id: "file-viewer-name", dir: "auto", tabIndex: -1 });
    this.note = Object.assign(document.createElement("p"), { className: "file-note" });
    titles.append(this.name, this.note);
    this.asText = this.button(t("Show as text"), "", () => void this.show(!this.isText));
    this.asText.className = "button button-small";
    this.back = this.button(t("Previous file"), "back", () => void this.go(-1));
    this.forth = this.button(t("Next file"), "forth", () => void this.go(1));
    this.save = Object.assign(document.createElement("a"), { className: "icon-button", title: t("Download") });
    this.save.setAttribute("aria-label", t("Download"));
    this.save.append(icon("save"));
    head.append(titles, this.asText, this.back, this.forth, this.save, this.button(t("Close"), "close", () => this.dialog.close()));
    this.body = Object.assign(document.createElement("div"), { className: "file-viewer-body" });
    this.dialog.append(head, this.body);
    this.isText = false;
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        if (this.body.contains(document.activeElement)) return; // it scrolls
        const forth = getComputedStyle(this.dialog).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
        void this.go(event.key === forth ? 1 : -1);
      }
      if (event.key === "Escape") event.stopPropagation(); // it would stop the answer
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("close", () => {
      this.wanted += 1;
      this.body.replaceChildren();
      this.opener?.focus();
    });
    document.body.append(this.dialog);
  }

  /** @param {string} words @param {string} sign @param {() => void} run */
  button(words, sign, run) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "icon-button", title: sign ? words : "" });
    if (sign) {
      button.setAttribute("aria-label", words);
      button.append(icon(sign));
    } else button.textContent = words;
    button.addEventListener("click", run);
    return button;
  }

  /** @param {FileObject[]} files @param {number} at @param {{page: string, after: number} | null} [place] where it is opened */
  async open(files, at, place = null) {
    if (!files.length) return;
    this.opener = /** @type {HTMLElement | null} */ (document.activeElement);
    this.files = files;
    this.at = at;
    this.place = place;
    await loadStyles();
    if (!this.dialog.open) this.dialog.showModal();
    await this.show();
    this.name.focus();
  }

  /** @param {number} step */
  async go(step) {
    const next = this.at + step;
    if (!this.files[next]) return;
    this.at = next;
    await this.show();
    if (/** @type {HTMLButtonElement} */ (document.activeElement)?.disabled) this.name.focus();
  }

  /** @param {boolean} [isText] the text that was read of it, not the file itself */
  async show(isText = false) {
    const mine = (this.wanted += 1);
    const file = this.files[this.at];
    const isShown = file.kind === "image" || (file.kind === "pdf" && navigator.pdfViewerEnabled); // phones have no viewer
    this.isText = isText || !isShown;
    this.name.textContent = file.name;
    this.note.textContent = [fileWords(file), this.files.length > 1 ? t("{place} of {count}", { place: this.at + 1, count: this.files.length }) : ""].filter(Boolean).join(" · ");
    this.save.href = addressOf(file.id);
    this.save.download = file.name;
    this.back.hidden = this.forth.hidden = this.files.length < 2;
    this.back.disabled = this.at === 0;
    this.forth.disabled = this.at === this.files.length - 1;
    this.asText.hidden = !isShown || !file.characters;
    this.asText.textContent = this.isText ? t("Show the file") : t("Show as text");
    this.body.className = `file-viewer-body of-${file.kind} is-${this.isText ? "text" : file.kind}`;
    if (!this.isText) return this.body.replaceChildren(file.kind === "pdf" ? pdfOf(file, this.place?.page) : this.imageOf(file));
    return this.showText(file, () => mine === this.wanted);
  }

  /** @param {FileObject} file */
  imageOf(file) {
    const image = Object.assign(document.createElement("img"), { alt: file.name, src: pictureOf(file.id) || `${addressOf(file.id)}?view=1` });
    if (file.width && file.height) Object.assign(image, { width: file.width, height: file.height });
    const frame = this.button(t("Actual size"), "", () => {
      const whole = this.body.classList.toggle("is-actual");
      frame.setAttribute("aria-pressed", String(whole));
      frame.title = whole ? t("Fit to the window") : t("Actual size");
    });
    frame.className = "file-viewer-image";
    frame.textContent = "";
    frame.setAttribute("aria-label", t("{name}: actual size", { name: file.name }));
    frame.setAttribute("aria-pressed", "false");
    image.addEventListener("error", () => this.body.replaceChildren(words(t("This image can’t be shown here. Download it to open it."))));
    frame.append(image);
    return frame;
  }

  /** @param {FileObject} file @param {() => boolean} isWanted */
  async showText(file, isWanted) {
    const place = document.createElement("div");
    place.className = "file-text";
    place.tabIndex = 0; // it scrolls
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", t("Text of {name}", { name: file.name }));
    if (file.state === "pending") return this.body.replaceChildren(words(t("This file is still being read. Its text can be shown in a moment.")));
    this.body.replaceChildren(words(t("Loading…")));
    const more = async (/** @type {string | number} */ from) => {
      const { parts, next } = await fetchJson(`${addressOf(file.id)}text/${from === "" ? "" : `?after=${from}`}`);
      if (!isWanted()) return;
      for (const part of parts) if (part.text.trim()) place.append(partOf(file, part));
      if (next === undefined || next === null) return;
      const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: t("Show more") });
      button.addEventListener("click", () => {
        button.remove();
        more(next).catch((error) => place.append(words(error.message)));
      });
      place.append(button);
    };
    try {
      await more(this.place?.after || "");
    } catch (error) {
      if (isWanted()) this.body.replaceChildren(words(/** @type {Error} */ (error).message));
      return undefined;
    }
    if (!isWanted()) return undefined;
    if (!place.childElementCount) place.append(words(file.reason || t("There is no text in this file.")));
    return this.body.replaceChildren(place);
  }
}

/** In the browser's own viewer, which browsers refuse in a frame with `sandbox`; it runs outside of the site. @param {FileObject} file */
function pdfOf(file, page = "") {
  const frame = Object.assign(document.createElement("iframe"), { src: `${addressOf(file.id)}?view=1${page}`, title: file.name });
  return frame;
}

/** @param {FileObject} file @param {{label: string, text: string}} part a page, a sheet, or a part */
function partOf(file, part) {
  const section = document.createElement("section");
  if (part.label) section.append(Object.assign(document.createElement("h3"), { textContent: part.label, dir: "auto" }));
  const table = file.kind === "table" && isTable(part.text) ? tableOf(part.text) : null;
  if (!table) section.append(Object.assign(document.createElement("pre"), { textContent: part.text, dir: "auto" }));
  else {
    const scroller = Object.assign(document.createElement("div"), { className: "file-table" });
    scroller.append(table.element);
    section.append(scroller);
    if (table.left) section.append(words(tn("{count} more row. Download the file to see it.", "{count} more rows. Download the file to see them.", table.left)));
  }
  return section;
}

/** @param {string} text */
function words(text) {
  return Object.assign(document.createElement("p"), { className: "file-viewer-words", textContent: text });
}
