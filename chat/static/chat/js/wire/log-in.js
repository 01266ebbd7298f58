/** Whether this browser is still logged in, and the way to the log-in page: once, never in a circle. */

import { recall, remember } from "antiphon/lib/storage";

const CIRCLE_MS = 60_000; // back here within this time, the log-in page has sent us back: we are logged in

export class LogIn {
  /** @param {any} page what the server put into the page */
  constructor(page) {
    this.urls = page.urls;
  }

  /**
   * Reads the page again without showing it.
   * @returns {Promise<string | null>} its CSRF token; null when the server asks for a log-in
   */
  async readCsrf() {
    const response = await fetch(this.urls.root, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10_000) });
    if (response.redirected && new URL(response.url).pathname === this.urls.login) return null;
    if (!response.ok) return "";
    const page = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("page");
    return JSON.parse(page?.textContent ?? "{}").csrf ?? "";
  }

  /** The log-in page has led back here, and the server takes us. */
  succeeded() {
    remember("left", null, "session");
  }

  /** Opens the log-in page, which leads back here. @returns {boolean} false when it has just done so */
  open() {
    const now = Date.now();
    if (now - Number(recall("left", "session") ?? 0) < CIRCLE_MS) return false;
    remember("left", String(now), "session");
    location.assign(`${this.urls.login}?next=${encodeURIComponent(location.pathname)}`);
    return true;
  }
}
