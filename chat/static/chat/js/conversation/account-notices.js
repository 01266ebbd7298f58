/** What staff decided, as it happens: a suspended account can only read, and a decision can be read. */

import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */
/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const LONGEST_TIMER = 2 ** 31 - 1; // ms; browsers take a longer one for 0

/** @param {Conversation} conversation @returns {(frame: Frame) => void} */
export function startAccountNotices(conversation) {
  const line = /** @type {HTMLElement} */ (document.getElementById("suspended"));
  const words = /** @type {HTMLElement} */ (line.querySelector("span"));
  const decisions = /** @type {HTMLElement} */ (document.getElementById("decisions"));
  const { composer, announcer, page } = conversation;
  let timer = 0;

  /** @param {{until: string | null, message: string}} suspension */
  function show({ until, message }) {
    clearTimeout(timer);
    const left = until ? Date.parse(until) - Date.now() : 0;
    const suspended = left > 0;
    line.hidden = !suspended;
    words.textContent = suspended ? message : "";
    composer.form.toggleAttribute("data-suspended", suspended);
    composer.field.disabled = suspended;
    if (suspended) timer = setTimeout(() => show({ until, message }), Math.min(left + 500, LONGEST_TIMER));
  }

  if (page.suspended) show(page.suspended);
  return (frame) => {
    if (frame.type === "account.suspended") {
      show(/** @type {any} */ (frame));
      announcer.say(frame.until ? frame.message : t("Your account is no longer suspended."));
    } else {
      decisions.hidden = false;
      announcer.say(t("There is a decision about what you wrote."));
    }
  };
}
