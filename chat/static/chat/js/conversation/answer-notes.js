/** Why an answer is not whole, or not as the model wrote it: the line below it, as `trouble` in chat_page.py renders it. */

import { markModeration } from "antiphon/conversation/moderation";
import { t, told } from "antiphon/lib/texts";

export const TROUBLE = /** @type {Record<string, string>} */ ({
  stopped: t("Stopped."), interrupted: t("The answer was interrupted."), failed: t("The model couldn’t answer."),
});
const FINISH = /** @type {Record<string, string>} */ ({
  length: t("Reached the length limit."),
  filtered: t("The provider's content filter ended this answer."),
  tool_limit: t("Reached the limit of tool calls."),
});

/** @param {string | null | undefined} said by the server @param {string} status @param {string | undefined} finish @param {string} replaced why parts were replaced */
export function noteOf(said, status, finish, replaced) {
  return (said ? told(said) : "") || TROUBLE[status] || FINISH[finish ?? ""] || replaced;
}

/**
 * Notes at an answer's element what moderation did to it.
 * @param {HTMLElement} element @param {{action: string, reason: string} | undefined} done
 * @returns {string} why parts of it were replaced
 */
export function noteModeration(element, done) {
  markModeration(element, done);
  return done?.action === "mask" ? told(done.reason) : "";
}
