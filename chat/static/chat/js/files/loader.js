/** What shows files is loaded with the first message that has any. */

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */

const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");

/** @type {Promise<unknown> | undefined} */
let styles;

/** The style sheet of files, which pages without files have not loaded. @returns {Promise<unknown>} */
export function loadStyles() {
  const urls = /** @type {string[]} */ ((PAGE.urls?.files_sheets ?? "").split(" "));
  styles ??= Promise.all(urls.map((url) => new Promise((resolve) => {
    if (!url || document.querySelector(`link[href="${CSS.escape(url)}"]`)) return resolve(null);
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url });
    for (const kind of ["load", "error"]) link.addEventListener(kind, resolve);
    return document.head.append(link);
  })));
  return styles;
}
