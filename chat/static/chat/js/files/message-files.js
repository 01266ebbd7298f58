/** The files of a message, and what the model got of them. Kept level with templates/chat/files.html and file_uses.html. */

import { t, tn } from "antiphon/lib/texts";
import { fileIcon, icon } from "antiphon/files/icons";
import { loadStyles } from "antiphon/files/loader";
import { pictureOf } from "antiphon/files/local-pictures";
import { fileWords, useWords } from "antiphon/files/words";

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */
/** @typedef {import("antiphon/files/words").Use} Use */

const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");
export const ROOT = PAGE.urls?.root ?? "/";
const VIEWED = ["image", "pdf", "document", "table", "text"]; // others are downloaded

/** @param {string} id */
export const addressOf = (id) => `${ROOT}attachments/${encodeURIComponent(id)}/`;

/** The files that a message shows. @param {Element} element @returns {FileObject[]} */
export function filesOf(element) {
  const place = /** @type {HTMLElement | null} */ (element.querySelector(".files"));
  return JSON.parse(place?.dataset.files || "[]");
}

/**
 * @param {Element} element of a message, or of one that waits @param {FileObject[]} files
 * @param {number} gone how many it had that were deleted
 */
export function showFiles(element, files, gone) {
  void loadStyles();
  const known = /** @type {HTMLElement | null} */ (element.querySelector(".files"));
  if (!files.length && !gone) return known?.remove();
  const place = known ?? document.createElement("ul");
  const words = JSON.stringify(files);
  if (place.dataset.files === words && place.dataset.gone === String(gone)) return undefined;
  place.className = "files";
  place.setAttribute("role", "list");
  place.setAttribute("aria-label", t("Files"));
  place.dataset.files = words;
  place.dataset.gone = String(gone);
  place.replaceChildren(...files.map(buildFile));
  if (gone) place.append(Object.assign(document.createElement("li"), { className: "files-gone", textContent: tn("{count} file was deleted.", "{count} files were deleted.", gone) }));
  if (!known) element.querySelector(".message-body, .queued-text")?.before(place);
  return undefined;
}

/** @param {FileObject} file */
function buildFile(file) {
  const item = document.createElement("li");
  item.className = "file";
  item.dataset.file = file.id;
  item.dataset.kind = file.kind;
  item.dataset.state = file.state;
  const link = document.createElement("a");
  link.className = "file-open";
  link.href = addressOf(file.id) + (file.kind === "image" || file.kind === "pdf" ? "?view=1" : "");
  if (VIEWED.includes(file.kind)) link.dataset.action = "open-file";
  else link.download = file.name;
  const name = Object.assign(document.createElement("span"), { className: "file-name", dir: "auto", textContent: file.name });
  const note = Object.assign(document.createElement("span"), { className: "file-note", textContent: fileWords(file) });
  const picture = document.createElement("span");
  picture.className = "file-picture";
  const own = pictureOf(file.id);
  if (file.thumbnail || own) {
    const image = Object.assign(document.createElement("img"), { alt: "", loading: "lazy", src: own || `${addressOf(file.id)}thumbnail/` });
    if (file.width && file.height) Object.assign(image, { width: file.width, height: file.height });
    item.classList.add("has-picture");
    picture.append(image);
  } else picture.append(icon(fileIcon(file.kind, file.name)));
  const text = document.createElement("span");
  text.className = "file-words";
  text.append(name, " ", note);
  link.append(picture, text);
  item.append(link);
  return item;
}

/** A file was read, or deleted: wherever the page shows it. @param {FileObject} file */
export function updateFile(file) {
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".files"))) {
    const files = /** @type {FileObject[]} */ (JSON.parse(place.dataset.files || "[]"));
    if (!files.some((one) => one.id === file.id)) continue;
    const focused = place.contains(document.activeElement) ? /** @type {HTMLElement | null} */ (document.activeElement?.closest("[data-file]"))?.dataset.file : "";
    showFiles(/** @type {Element} */ (place.parentElement), files.map((one) => (one.id === file.id ? { ...one, ...file } : one)), Number(place.dataset.gone) || 0);
    if (focused) /** @type {HTMLElement | null} */ (place.querySelector(`[data-file="${CSS.escape(focused)}"] a`))?.focus();
  }
}

/** What the model of an answer got of the files. @param {Element} element @param {Use[]} uses */
export function showUses(element, uses) {
  void loadStyles();
  const known = element.querySelector(".file-uses");
  if (!uses.length) return known?.remove();
  const place = known ?? Object.assign(document.createElement("p"), { className: "file-uses" });
  place.replaceChildren(icon("file"), Object.assign(document.createElement("span"), { dir: "auto", textContent: t("The model got: {files}", { files: uses.map(useWords).join("; ").replaceAll(".; ", "; ") }) }));
  if (!known) element.querySelector(".message-note")?.before(place);
  return undefined;
}

