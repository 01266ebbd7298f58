/** Another announcement than the one that the page was made with, or none any more. Loaded when that happens. */

import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

/**
 * @param {{id: string, kind: string, text: string, usual?: boolean} | null} banner null: there is none any more;
 *   `usual`: during maintenance, with the site's own sentence
 * @param {string} icons the address of the icons @param {(words: string) => void} say for screen readers
 */
export function showBanner(banner, icons, say) {
  document.querySelector(".site-banner")?.remove();
  if (!banner || recall("banner") === banner.id) return;
  const made = document.createElement("div");
  made.className = banner.kind === "warning" ? "site-banner is-warning" : "site-banner";
  made.setAttribute("role", "region");
  made.setAttribute("aria-label", t("Announcement"));
  made.dataset.banner = banner.id;
  const hide = t("Hide this announcement");
  made.innerHTML = `<p dir="auto"></p><button class="icon-button" type="button"><svg class="icon" aria-hidden="true"><use href="${icons}#close"></use></svg></button>`;
  const text = banner.usual
    ? t("This site is under maintenance. You can read, but not write, until it is finished.")
    : banner.text;
  /** @type {HTMLElement} */ (made.firstElementChild).textContent = text;
  const button = /** @type {HTMLButtonElement} */ (made.lastElementChild);
  button.title = hide;
  button.setAttribute("aria-label", hide);
  button.addEventListener("click", () => {
    remember("banner", banner.id);
    made.remove();
  });
  document.querySelector(".app")?.before(made);
  say(text);
}
