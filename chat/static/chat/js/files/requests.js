/** The requests of an upload and of files (docs/files.md): JSON, and chunks with their progress. */

import { t } from "antiphon/lib/texts";

/**
 * @typedef {object} FileObject as the server describes a file
 * @property {string} id
 * @property {string} name
 * @property {string} media_type
 * @property {"image" | "pdf" | "document" | "table" | "text" | "other"} kind
 * @property {number} size in bytes
 * @property {"pending" | "read" | "empty" | "failed"} state
 * @property {string} [reason] why it could not be read, for a person
 * @property {number} [parts] pages, sheets or parts
 * @property {number} [characters]
 * @property {number} [width] in pixels
 * @property {number} [height]
 * @property {boolean} [thumbnail]
 * @property {boolean} [pasted]
 */

const SECONDS = 60; // without progress

/** A request that was refused, or did not reach the server: then `status` is 0. */
export class RequestError extends Error {
  /** @param {string} message @param {number} status @param {any} body @param {number} [retryAfter] seconds */
  constructor(message, status = 0, body = {}, retryAfter = 0) {
    super(message);
    this.status = status;
    this.body = body;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed a little later. */
  get isTemporary() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/**
 * @param {string} method @param {string} url @param {string} csrf
 * @param {object} [how]
 * @param {any} [how.json] the body
 * @param {Blob} [how.chunk] the body
 * @param {(loaded: number) => void} [how.onProgress] bytes of the chunk that were sent
 * @param {AbortSignal} [how.until]
 * @returns {Promise<any>} what the answer says; null when it says nothing
 */
export function ask(method, url, csrf, { json, chunk, onProgress, until } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // `fetch` does not tell how much was sent
    let timer = 0;
    const stop = () => request.abort();
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(stop, SECONDS * 1000);
    };
    request.upload.addEventListener("progress", ({ loaded }) => {
      wait();
      onProgress?.(loaded);
    });
    request.addEventListener("loadend", () => {
      clearTimeout(timer);
      until?.removeEventListener("abort", stop);
      const body = parse(request.responseText);
      const isPage = request.status === 200 && body === null;
      if (isPage) reject(new RequestError(t("Please log in again."), 401)); // it was led to the log-in page
      else if (request.status >= 200 && request.status < 300) resolve(body);
      else reject(new RequestError(body?.message || wordsOf(request.status), request.status, body ?? {}, Number(request.getResponseHeader("Retry-After")) || 0));
    });
    until?.addEventListener("abort", stop);
    request.open(method, url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", csrf);
    if (json !== undefined) request.setRequestHeader("Content-Type", "application/json");
    if (chunk) request.setRequestHeader("Content-Type", "application/octet-stream");
    wait();
    request.send(chunk ?? (json === undefined ? null : JSON.stringify(json)));
  });
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {number} status */
function wordsOf(status) {
  if (status === 0) return t("The server can’t be reached. Try again in a moment.");
  if (status === 413) return t("This file is too large for this site.");
  if (status === 404) return t("This no longer exists.");
  return t("Something went wrong. Try again.");
}
