/** The announcement above the pages, which one hides for good; another one is shown again. */

import { recall, remember } from "antiphon/lib/storage";

export function startBanner() {
  const banner = /** @type {HTMLElement | null} */ (document.querySelector(".site-banner"));
  if (!banner) return;
  if (recall("banner") === banner.dataset.banner) banner.hidden = true;
  const button = /** @type {HTMLButtonElement} */ (banner.querySelector("button"));
  button.hidden = false;
  button.addEventListener("click", () => {
    remember("banner", banner.dataset.banner ?? null);
    banner.hidden = true;
  });
}
