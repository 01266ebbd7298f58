/** What shows files is loaded with the first message that has any. */

import { loadStyles as load } from "antiphon/lib/fetch";

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */

const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");

/** The style sheet of files, which pages without files have not loaded. @returns {Promise<unknown>} */
export function loadStyles() {
  return load(PAGE.urls?.files_sheets ?? "");
}
