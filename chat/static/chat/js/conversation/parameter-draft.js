/** The parameters of a conversation that has not begun, as texts. This tab keeps them until its first message brings them. */

import { recall, remember } from "antiphon/lib/storage";

const NAMES = ["system_prompt", "temperature", "max_tokens", "effort"];

export class ParameterDraft {
  /** @param {string} userId @param {boolean} begun the conversation is there already */
  constructor(userId, begun) {
    this.key = `draft.parameters.${userId}`;
    /** @type {Record<string, string>} */
    this.values = begun ? {} : this.read();
  }

  /** @returns {Record<string, string>} */
  read() {
    try {
      const found = JSON.parse(recall(this.key, "session") ?? "{}");
      return Object.fromEntries(NAMES.filter((name) => typeof found?.[name] === "string").map((name) => [name, found[name]]));
    } catch {
      return {};
    }
  }

  get isEmpty() {
    return !Object.keys(this.values).length;
  }

  /** @param {Record<string, string>} texts empty: the default */
  set(texts) {
    for (const [name, text] of Object.entries(texts)) {
      if (text) this.values[name] = text;
      else delete this.values[name];
    }
    remember(this.key, this.isEmpty ? null : JSON.stringify(this.values), "session");
  }

  /** What the first message brings. @returns {Record<string, any> | undefined} */
  get options() {
    const { system_prompt: prompt, temperature, max_tokens: longest, effort } = this.values;
    if (this.isEmpty) return undefined;
    return {
      ...(temperature && { temperature: Number(temperature) }),
      ...(longest && { max_tokens: Number(longest) }),
      ...(effort && { effort }),
      ...(prompt && { system_prompt: prompt }),
    };
  }

  /** What a first message with these options did not bring, as texts. @param {Record<string, any> | undefined} options */
  missing(options) {
    const wanted = /** @type {Record<string, string>} */ ({});
    for (const name of NAMES) {
      const brought = options?.[name] === undefined ? "" : String(options[name]);
      if ((this.values[name] ?? "") !== brought) wanted[name] = this.values[name] ?? "";
    }
    return wanted;
  }

  clear() {
    this.values = {};
    remember(this.key, null, "session");
  }
}
