/** Opens the settings over the page, wherever a link leads to one of theirs. The sheet is loaded when it is first wanted. */

import { t } from "antiphon/lib/texts";
import { showNote } from "antiphon/conversation/status";

/** The page has another address now; while the settings are over it, once they are closed. @param {any} page @param {string} url */
export function replaceAddress(page, url) {
  if (history.state?.settings) page.address = url;
  else history.replaceState(null, "", url);
}

/** @typedef {import("antiphon/settings/sheet").SettingsSheet} SettingsSheet */

/** @type {Promise<SettingsSheet> | null} */
let sheet = null;

/** @param {any} page what the server put into the page */
function load(page) {
  sheet ??= import("antiphon/settings/sheet").then(({ SettingsSheet }) => new SettingsSheet(page));
  return sheet;
}

/** @param {any} page what the server put into the page @param {() => void} before closes what would lie above the sheet */
export function startSettings(page, before) {
  const isSettings = (/** @type {HTMLAnchorElement} */ link) =>
    link.origin === location.origin && (link.hasAttribute("data-sheet") || link.pathname.startsWith(page.urls.settings));
  document.addEventListener("click", (event) => {
    const link = /** @type {HTMLAnchorElement | null} */ (/** @type {Element} */ (event.target).closest("a[href]"));
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.closest("#settings-sheet") || link.target || !isSettings(link)) return;
    event.preventDefault();
    void openSettings(page, link.href, before);
  });
  addEventListener("popstate", (event) => {
    if (sheet || event.state?.settings) void followHistory(page);
  });
}

/** @param {any} page @param {string} url @param {() => void} before */
export async function openSettings(page, url, before) {
  before();
  try {
    (await load(page)).open(url);
  } catch {
    sheet = null;
    showNote(t("The settings could not be loaded. Try again in a moment."));
  }
}

/** The browser goes back within the settings or out of them, or forth to them again. @param {any} page */
async function followHistory(page) {
  try {
    (await load(page)).followHistory();
  } catch {
    location.reload(); // the address is that of a page
  }
}
