/** Shows the remainder of a quota that is nearly used up, below the composer. */

/** @typedef {{unit: string, period: string, model: string | null, limit: number | string, used: number | string,
 *             left: number | string, hard: boolean, renews_at: string | null, shared_by?: string | null}} Quota */

const UNITS = {
  messages: "messages",
  input_tokens: "input tokens",
  output_tokens: "output tokens",
  audio_seconds: "seconds of speech",
  money: "of spending",
};
const PERIODS = { hour: "this hour", day: "today", week: "this week", month: "this month", fixed: "in total" };

/** The quota of which the smallest share is left. @param {Quota[]} quotas */
export function tightest(quotas) {
  const share = (/** @type {Quota} */ one) => (Number(one.limit) > 0 ? Number(one.left) / Number(one.limit) : 0);
  return [...quotas].sort((one, other) => share(one) - share(other))[0];
}

/** @param {Quota} quota @returns {string} a sentence */
export function sentence(quota) {
  const unit = UNITS[/** @type {keyof typeof UNITS} */ (quota.unit)] ?? quota.unit;
  const when = PERIODS[/** @type {keyof typeof PERIODS} */ (quota.period)] ?? quota.period;
  const what = `${amount(quota.limit)} ${unit}${quota.model ? ` with ${quota.model}` : ""}`;
  const sharers = quota.shared_by ? `, shared by everyone in ${quota.shared_by}` : "";
  const left = `${amount(quota.left)} of ${what} left ${when}${sharers}.`;
  if (Number(quota.left) > 0 || !quota.renews_at) return left;
  const renewed = new Date(quota.renews_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return `${left} Resets ${renewed}.`;
}

/** @param {number | string} value money is a string, shown to the cent or as small as it is */
function amount(value) {
  const digits = typeof value === "string" && Number(value) < 0.1 ? 4 : 2;
  return Number(value).toLocaleString([], { maximumFractionDigits: digits });
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
