/** What is said of steps and calls. Kept level with chat/templatetags/steps.py. */

import { oneDigit, spellSeconds, t, tn, told } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").ToolCall} ToolCall */

const LONGEST_ABOUT = 80; // characters
const STATES = /** @type {Record<string, string>} */ ({
  asked: t("Waiting for its turn"), waiting: t("Waiting for a person"), allowed: t("Allowed"), running: t("Running…"), error: t("Failed"),
  denied: t("Denied"), cancelled: t("Cancelled"), unknown: t("It may have happened"),
});

/** @param {string} status */
export function stateWords(status) {
  return STATES[status] ?? "";
}

/** What a call is named to the reader: tools of our own in their language. @param {{title: string, server?: string}} call */
export function titleWords({ title, server }) {
  return server ? title : told(title);
}

/** @param {string[]} statuses of the calls of a step */
export function groupWords(statuses) {
  const words = tn("{count} tool", "{count} tools", statuses.length);
  const failed = statuses.filter((status) => status === "error").length;
  return failed ? `${words} · ${tn("{count} failed", "{count} failed", failed)}` : words;
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
  if (ms < 9_950) return t("{seconds} s", { seconds: oneDigit(Math.max(0.1, ms / 1_000)) });
  return spellSeconds(Math.round(ms / 1_000));
}

/** @param {number} size in bytes */
export function spellSize(size) {
  if (size < 1024) return tn("{count} byte", "{count} bytes", size);
  if (size < 2 ** 20) return `${Math.round(size / 1024)} kB`;
  return size < 2 ** 30 ? `${(size / 2 ** 20).toFixed(1)} MB` : `${(size / 2 ** 30).toFixed(1)} GB`;
}
