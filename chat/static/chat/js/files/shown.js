/** Messages with files: what shows them is loaded with the first one. */

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */

const load = () => import("antiphon/files/message-files");

/** @param {Element} element of a message @param {{files?: FileObject[], deleted_files?: number}} message */
export function showFiles(element, { files = [], deleted_files: gone = 0 }) {
  if (files.length || gone || element.querySelector(".files")) load().then((found) => found.showFiles(element, files, gone), () => {});
}

/** What the model got of files. @param {Element} element of an answer @param {import("antiphon/files/words").Use[]} [uses] */
export function showUses(element, uses) {
  if (uses?.length) load().then((found) => found.showUses(element, uses), () => {});
}

/** A file was read. @param {FileObject} file */
export function updateFile(file) {
  if (document.querySelector(".files")) load().then((found) => found.updateFile(file), () => {});
}

/** Opens a file in the page. @param {HTMLElement} link */
export async function openFile(link) {
  (await import("antiphon/files/viewer")).openFile(link);
}
