/** Shows the remainder of a quota that is nearly used up, below the composer. */

import { LOCALE, t, tc, tn } from "antiphon/lib/texts";

/** @typedef {{unit: string, period: string, model: string | null, limit: number | string, used: number | string,
 *             left: number | string, hard: boolean, renews_at: string | null, shared_by?: string | null}} Quota */

/** @type {{currency?: string}} */
const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");

/** How much is left of a quota, by its unit. @type {Record<string, (limit: number, values: Record<string, string>) => string>} */
const LEFT = {
  messages: (limit, values) => tn("{left} of {limit} message left {period}.", "{left} of {limit} messages left {period}.", limit, values),
  input_tokens: (limit, values) => tn("{left} of {limit} input token left {period}.", "{left} of {limit} input tokens left {period}.", limit, values),
  output_tokens: (limit, values) => tn("{left} of {limit} output token left {period}.", "{left} of {limit} output tokens left {period}.", limit, values),
  audio_seconds: (limit, values) => tn("{left} of {limit} second of speech left {period}.", "{left} of {limit} seconds of speech left {period}.", limit, values),
  money: (_limit, values) => t("{left} of {limit} left to spend {period}.", values),
};
/** The same of a quota for one model. @type {typeof LEFT} */
const LEFT_WITH = {
  messages: (limit, values) => tn("{left} of {limit} message with {model} left {period}.", "{left} of {limit} messages with {model} left {period}.", limit, values),
  input_tokens: (limit, values) => tn("{left} of {limit} input token with {model} left {period}.", "{left} of {limit} input tokens with {model} left {period}.", limit, values),
  output_tokens: (limit, values) => tn("{left} of {limit} output token with {model} left {period}.", "{left} of {limit} output tokens with {model} left {period}.", limit, values),
  audio_seconds: (limit, values) => tn("{left} of {limit} second of speech with {model} left {period}.", "{left} of {limit} seconds of speech with {model} left {period}.", limit, values),
  money: (_limit, values) => t("{left} of {limit} left to spend on {model} {period}.", values),
};
/** @type {Record<string, string>} */
const PERIODS = {
  hour: tc("period of a quota", "this hour"), day: tc("period of a quota", "today"), week: tc("period of a quota", "this week"),
  month: tc("period of a quota", "this month"), fixed: tc("period of a quota", "in total"),
};

/** The quota of which the smallest share is left. @param {Quota[]} quotas */
export function tightest(quotas) {
  const share = (/** @type {Quota} */ one) => (Number(one.limit) > 0 ? Number(one.left) / Number(one.limit) : 0);
  return [...quotas].sort((one, other) => share(one) - share(other))[0];
}

/** @param {Quota} quota @returns {string} a sentence, or two or three */
export function sentence(quota) {
  const values = {
    left: amount(quota.left, quota.unit), limit: amount(quota.limit, quota.unit), model: quota.model ?? "", period: PERIODS[quota.period] ?? quota.period,
  };
  const parts = [((quota.model ? LEFT_WITH : LEFT)[quota.unit] ?? LEFT.messages)(Number(quota.limit), values)];
  if (quota.shared_by) parts.push(t("Shared by everyone in {group}.", { group: quota.shared_by }));
  if (Number(quota.left) <= 0 && quota.renews_at) {
    const time = new Date(quota.renews_at).toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "short" });
    parts.push(t("Resets {time}.", { time }));
  }
  return parts.join(" ");
}

/** @param {number | string} value money is a string, shown to the cent or as small as it is @param {string} unit */
function amount(value, unit) {
  const digits = typeof value === "string" && Number(value) < 0.1 ? 4 : 2;
  const shown = Number(value).toLocaleString(LOCALE, { maximumFractionDigits: digits });
  return unit === "money" && PAGE.currency ? `${shown}\u202f${PAGE.currency}` : shown; // as costs beside answers
}

/**
 * Shows the tightest of the quotas that are nearly used up. News of some of them (a shared one, which others drain)
 * leaves the others as they are.
 * @param {HTMLElement | null} line @returns {(quotas: Quota[]) => void}
 */
export function startAllowance(line) {
  const words = line?.querySelector("span");
  /** @type {Map<string, Quota>} */
  const known = new Map();
  return (quotas) => {
    if (!line || !words || !quotas.length) return;
    for (const [key, one] of known) if (one.renews_at && Date.parse(one.renews_at) < Date.now()) known.delete(key);
    for (const one of quotas) known.set([one.unit, one.period, one.model, one.shared_by].join("\n"), one);
    words.textContent = sentence(tightest([...known.values()]));
    line.hidden = false;
  };
}
