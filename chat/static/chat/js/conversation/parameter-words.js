/** Names of parameters, for a person. */

import { t } from "antiphon/lib/texts";

const NAMES = { temperature: t("temperature"), max_tokens: t("longest answer"), effort: t("effort") };

/** Which parameters a model did not accept. Kept level with `left_out` in chat_page.py. @param {string[]} dropped */
export function leftOut(dropped) {
  const names = dropped.map((name) => NAMES[/** @type {keyof typeof NAMES} */ (name)]).filter(Boolean);
  return t("{names} not accepted", { names: names.join(", ") });
}
