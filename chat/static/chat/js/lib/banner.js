/** The announcement above the pages, which one hides for good; another one is shown again, at once in open pages. */

import { recall, remember } from "antiphon/lib/storage";

/** @param {import("antiphon/conversation/conversation").Conversation} conversation @param {string} icons their address */
export function startBanner(conversation, icons) {
  const banner = /** @type {HTMLElement | null} */ (document.querySelector(".site-banner"));
  let shown = banner?.dataset.banner;
  for (const type of ["hello", "site.banner"]) {
    conversation.socket.on(type, async ({ banner: found }) => {
      if (found?.id === shown) return;
      shown = found?.id;
      const { showBanner } = await import("antiphon/lib/banner-change");
      showBanner(found, icons, (words) => conversation.announcer.say(words));
    });
  }
  if (!banner) return;
  if (recall("banner") === shown) banner.hidden = true;
  const button = /** @type {HTMLButtonElement} */ (banner.querySelector("button"));
  button.hidden = false;
  button.addEventListener("click", () => {
    remember("banner", banner.dataset.banner ?? null);
    banner.hidden = true;
  });
}
