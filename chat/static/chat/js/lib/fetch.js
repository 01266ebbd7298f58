/** Pieces of HTML, style sheets and small commands over HTTP. After the session has ended, they lead to the log-in page. */

import { t } from "antiphon/lib/texts";

/** A failed request, with a message for the user. */
export class FetchError extends Error {}

export const GONE = t("This no longer exists.");

/** Leads to the log-in page if the server asks for it, and from there back to this page, not to the piece. @param {Response} response */
function check(response) {
  const asked = new URL(response.url);
  if (response.redirected && asked.pathname.startsWith("/accounts/")) {
    location.assign(`${asked.pathname}?next=${encodeURIComponent(location.pathname)}`);
    throw new FetchError(t("Please log in again."));
  }
}

/** @param {string} url @returns {Promise<DocumentFragment>} */
export async function fetchPiece(url) {
  let response;
  try {
    response = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15_000) });
  } catch {
    throw new FetchError(t("The server can’t be reached. Try again in a moment."));
  }
  check(response);
  if (!response.ok) throw new FetchError(response.status === 404 ? GONE : t("Something went wrong. Try again."));
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return template.content;
}

/** What a GET returns as JSON. @param {string} url @param {AbortSignal} [until] ends the request @returns {Promise<any>} */
export async function fetchJson(url, until) {
  let response;
  try {
    const signals = [AbortSignal.timeout(15_000), ...(until ? [until] : [])];
    response = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.any(signals) });
  } catch {
    throw new FetchError(t("The server can’t be reached. Try again in a moment."));
  }
  check(response);
  if (!response.ok) throw new FetchError((await response.json().catch(() => ({}))).message ?? t("Something went wrong. Try again."));
  return response.json();
}

/** @param {string} url @param {string} csrf @param {Record<string, string>} fields @returns {Promise<any>} */
export async function post(url, csrf, fields = {}) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, Accept: "application/json" },
      body: new URLSearchParams(fields),
      signal: AbortSignal.timeout(15_000),
    });
  } catch {
    throw new FetchError(t("The server can’t be reached. Try again in a moment."));
  }
  check(response);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new FetchError(answer.message ?? t("Something went wrong. Try again."));
  return answer;
}

/** @type {Map<string, Promise<unknown>>} */
const styles = new Map();

/**
 * Loads style sheets, each once. Without one the page is plain but works, so failures are not reported; the next call tries
 * again. @param {string} urls with spaces between them @returns {Promise<unknown>} when they apply, or cannot be loaded
 */
export function loadStyles(urls) {
  return Promise.all(urls.split(" ").filter(Boolean).map((url) => {
    if (!styles.has(url)) styles.set(url, addStyle(url));
    return styles.get(url);
  }));
}

/** @param {string} url */
function addStyle(url) {
  return new Promise((resolve) => {
    if (document.querySelector(`link[href="${CSS.escape(url)}"]`)) return resolve(null);
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url });
    link.addEventListener("load", resolve);
    link.addEventListener("error", () => {
      styles.delete(url);
      link.remove();
      resolve(null);
    });
    return document.head.append(link);
  });
}
