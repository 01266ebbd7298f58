/** Names of parameters, for a person. */

const NAMES = { temperature: "temperature", max_tokens: "longest answer", effort: "effort" };

/** Which parameters a model did not accept. Kept level with `left_out` in chat_page.py. @param {string[]} dropped */
export function leftOut(dropped) {
  const names = dropped.map((name) => NAMES[/** @type {keyof typeof NAMES} */ (name)]).filter(Boolean);
  return `${names.join(", ")} not accepted`;
}
