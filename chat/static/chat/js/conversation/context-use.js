/** How much of the model's context window the conversation fills, and what was left out, below the composer. */

import { t, tn } from "antiphon/lib/texts";

/** @typedef {{used: number | null, window: number | null, dropped: number}} ContextUse */

const SHOWN_FROM = 0.5; // of the window; below that nobody needs to know

/** @param {number} tokens @returns {string} 128k, 1M */
export function shortTokens(tokens) {
  const base = tokens % 1000 !== 0 && tokens % 1024 === 0 ? 1024 : 1000; // 128,000 and 131,072 are 128k
  if (tokens >= base * base) return `${Math.round((10 * tokens) / (base * base)) / 10}M`;
  return tokens >= base ? `${Math.round(tokens / base)}k` : String(tokens);
}

/** @param {ContextUse | null} context @returns {string} empty where there is nothing to say */
export function contextWords(context) {
  if (!context || context.used === null) return "";
  const { used, window, dropped } = context;
  const parts = [];
  if (window && (dropped || used >= SHOWN_FROM * window)) {
    parts.push(t("{percent} % of {window}", { percent: Math.min(100, Math.round((100 * used) / window)), window: shortTokens(window) }));
  }
  if (dropped) parts.push(tn("{count} older message left out", "{count} older messages left out", dropped));
  return parts.join(" · ");
}

/** Shows what the newest answer of the path says. @param {HTMLElement} line @param {{context: ContextUse | null}[]} path */
export function showContextUse(line, path) {
  const words = contextWords(path.findLast((view) => view.context && view.context.used !== null)?.context ?? null);
  if (line.textContent !== words) line.textContent = words;
  line.hidden = !words;
}
