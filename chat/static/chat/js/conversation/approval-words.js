/** Who decided what about a call of a tool, in a sentence. Kept level with `decision_words` in templatetags/approvals.py. */

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

const TIME = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const ALLOWED = /** @type {Record<string, string>} */ ({
  once: "allowed “%” once", conversation: "allowed “%” in this conversation", always: "allowed “%” always", deny: "denied “%”",
});

/** @param {ShownDecision} decision @param {string} reader */
export function decisionWords(decision, reader) {
  const { title, by, decision: what } = decision;
  if (decision.expired) return `Nobody decided about “${title}” in time.`;
  const who = by?.id === reader ? "You" : by?.name || "Somebody";
  const did = decision.answered ? (what === "deny" ? "did not answer “%”" : "answered “%”") : ALLOWED[what];
  const said = `${who} ${did.replace("%", () => title)}`;
  if (decision.reason) return `${said}: “${decision.reason}”`;
  return `${said}${decision.edited ? ", with changed arguments" : ""}.`;
}

/** A time as the reader's language has it. @param {string} at */
export function showWhen(at) {
  return Object.assign(document.createElement("time"), { dateTime: at, textContent: spellTime(at) });
}

/** @param {string} at */
export function spellTime(at) {
  return TIME.format(new Date(at));
}
