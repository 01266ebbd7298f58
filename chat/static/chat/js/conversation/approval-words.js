/** Who decided what about a call of a tool, in a sentence. Kept level with `decision_words` in templatetags/approvals.py. */

import { LOCALE, t, told } from "antiphon/lib/texts";

/**
 * @typedef {object} ShownDecision
 * @property {string} call_id
 * @property {string} title
 * @property {"once" | "conversation" | "always" | "deny"} decision
 * @property {{id: string | null, name: string} | null} by
 * @property {string} at
 * @property {boolean} [expired] nobody decided in time
 * @property {boolean} [answered] it was a question
 * @property {boolean} [edited] with other arguments than the model's
 * @property {string} [reason] why it was denied
 */

const TIME = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
/** What the reader decided. @type {Record<string, (values: {title: string}) => string>} */
const OWN = {
  once: (values) => t("You allowed “{title}” once.", values),
  conversation: (values) => t("You allowed “{title}” in this conversation.", values),
  always: (values) => t("You allowed “{title}” always.", values),
  deny: (values) => t("You denied “{title}”.", values),
  silent: (values) => t("You did not answer “{title}”.", values),
  answered: (values) => t("You answered “{title}”.", values),
};
/** What another person decided. @type {Record<string, (values: {who: string, title: string}) => string>} */
const THEIRS = {
  once: (values) => t("{who} allowed “{title}” once.", values),
  conversation: (values) => t("{who} allowed “{title}” in this conversation.", values),
  always: (values) => t("{who} allowed “{title}” always.", values),
  deny: (values) => t("{who} denied “{title}”.", values),
  silent: (values) => t("{who} did not answer “{title}”.", values),
  answered: (values) => t("{who} answered “{title}”.", values),
};

/** @param {ShownDecision} decision @param {string} reader */
export function decisionWords(decision, reader) {
  const { by, decision: what } = decision;
  const title = told(decision.title);
  if (decision.expired) return t("Nobody decided about “{title}” in time.", { title });
  const did = decision.answered ? (what === "deny" ? "silent" : "answered") : what;
  const said = by?.id === reader ? OWN[did]({ title }) : THEIRS[did]({ who: by?.name || t("Somebody"), title });
  if (decision.reason) return `${said} ${t("Reason: “{reason}”", { reason: decision.reason })}`;
  return decision.edited ? `${said} ${t("The arguments were changed.")}` : said;
}

/** A time as the reader's language has it. @param {string} at */
export function showWhen(at) {
  return Object.assign(document.createElement("time"), { dateTime: at, textContent: spellTime(at) });
}

/** @param {string} at */
export function spellTime(at) {
  return TIME.format(new Date(at));
}
