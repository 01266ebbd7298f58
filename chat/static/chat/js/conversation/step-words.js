/** What is said of steps and calls. Kept level with chat/templatetags/steps.py. */

/** @typedef {import("antiphon/wire/protocol").ToolCall} ToolCall */

const LONGEST_ABOUT = 80; // characters
const STATES = /** @type {Record<string, string>} */ ({
  asked: "Waits for its turn", waiting: "Waits for a person", allowed: "Allowed", running: "Running…", error: "Failed",
  denied: "Denied", cancelled: "Cancelled", unknown: "It may have happened",
});

/** @param {string} status */
export function stateWords(status) {
  return STATES[status] ?? "";
}

/** @param {string[]} statuses of the calls of a step */
export function groupWords(statuses) {
  const words = statuses.length === 1 ? "1 tool" : `${statuses.length} tools`;
  const failed = statuses.filter((status) => status === "error").length;
  return failed ? `${words}, ${failed} failed` : words;
}

/** What a call is about, in a few words: its first text argument. @param {string} text its arguments */
export function aboutWords(text) {
  let found;
  try {
    found = JSON.parse(text || "{}");
  } catch {
    return "";
  }
  if (!found || typeof found !== "object" || Array.isArray(found)) return "";
  const first = Object.values(found).find((one) => typeof one === "string" && one.trim());
  const points = [...(first ?? "").trim().replace(/\s+/g, " ")];
  return points.length > LONGEST_ABOUT ? `${points.slice(0, LONGEST_ABOUT - 1).join("")}…` : points.join("");
}

/** @param {number | undefined} ms */
export function spellMs(ms) {
  if (ms === undefined) return "";
  if (ms < 9_950) return `${Math.max(0.1, ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** @param {number} size in bytes */
export function spellSize(size) {
  if (size < 1_000) return `${size} bytes`;
  return size < 1_000_000 ? `${Math.round(size / 1_000)} kB` : `${(size / 1_000_000).toFixed(1)} MB`;
}
