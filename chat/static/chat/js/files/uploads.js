/**
 * Uploads files in chunks, two files at a time. What fails for a moment is tried again by itself; what was received
 * before is not sent again.
 */

import { t } from "antiphon/lib/texts";
import { RequestError, ask } from "antiphon/files/requests";

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */

const AT_ONCE = 2;
const CHUNK_BYTES = 4 * 2 ** 20; // the server may ask for smaller ones
const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 30;
const MOST_RESTARTS = 3; // of an upload that the server has lost

/**
 * @typedef {object} Entry a file of the composer
 * @property {string} key in this page
 * @property {string} name
 * @property {number} size in bytes
 * @property {number} [modified] ms since 1970, to know it again when it is chosen again
 * @property {boolean} [pasted]
 * @property {string} [text] of a pasted one, until it is uploaded
 * @property {string} [uploadId]
 * @property {Blob | null} blob null: from before a reload
 * @property {FileObject | null} file once it is uploaded
 * @property {"waiting" | "sending" | "retrying" | "checking" | "done" | "failed" | "stopped"} state `stopped`: it must be chosen again
 * @property {string} reason for a person, when it failed or waits
 * @property {number} received bytes that the server has
 * @property {number} sent bytes, with those that are on their way
 * @property {string} [preview] address of an image in this page
 * @property {number} tries
 * @property {number} restarts
 * @property {number} timer
 * @property {number} chunkBytes
 * @property {AbortController | null} request
 * @property {boolean} [final] trying again makes no sense
 */

export class Uploads {
  /** @param {{root: string, csrf: () => string, onChange: (entry: Entry) => void}} options `root`: of the site's addresses */
  constructor(options) {
    this.options = options;
    /** @type {Entry[]} */
    this.entries = [];
    addEventListener("online", () => {
      for (const entry of this.entries) if (entry.state === "retrying") this.retry(entry);
    });
  }

  /** @param {Entry} entry */
  start(entry) {
    this.entries.push(entry);
    this.pump();
  }

  /** Begins again, at once. @param {Entry} entry */
  retry(entry) {
    clearTimeout(entry.timer);
    entry.tries = entry.state === "failed" ? 0 : entry.tries;
    entry.state = "waiting";
    entry.reason = "";
    this.options.onChange(entry);
    this.pump();
  }

  /** Ends an upload, here and on the server. @param {Entry} entry */
  cancel(entry) {
    clearTimeout(entry.timer);
    this.entries = this.entries.filter((one) => one !== entry);
    entry.request?.abort();
    entry.request = null;
    if (entry.uploadId && !entry.file) ask("DELETE", this.url(`uploads/${entry.uploadId}/`), this.options.csrf()).catch(() => {});
    this.pump();
  }

  pump() {
    const busy = this.entries.filter((entry) => entry.request).length;
    const next = this.entries.filter((entry) => entry.state === "waiting" && entry.blob && !entry.request);
    for (const entry of next.slice(0, Math.max(0, AT_ONCE - busy))) void this.upload(entry);
  }

  /** @param {string} path */
  url(path) {
    return `${this.options.root}${path}`;
  }

  /** @param {Entry} entry */
  async upload(entry) {
    const control = (entry.request = new AbortController());
    const isOver = () => entry.request !== control;
    entry.state = "sending";
    this.options.onChange(entry);
    try {
      await this.send(entry, control.signal, isOver);
    } catch (error) {
      if (!isOver()) this.failed(entry, error instanceof RequestError ? error : new RequestError(t("This file can’t be read any more. Choose it again."), 400));
    }
    if (!isOver()) entry.request = null;
    this.options.onChange(entry);
    this.pump();
  }

  /** @param {Entry} entry @param {AbortSignal} until @param {() => boolean} isOver */
  async send(entry, until, isOver) {
    const csrf = this.options.csrf;
    const blob = /** @type {Blob} */ (entry.blob);
    if (!entry.uploadId) {
      const json = { name: entry.name, size: entry.size, ...(entry.pasted ? { pasted: true } : {}) };
      const made = await ask("POST", this.url("uploads/new/"), csrf(), { json }); // to its end: only then it can be cancelled
      if (isOver()) return void ask("DELETE", this.url(`uploads/${made.id}/`), csrf()).catch(() => {});
      entry.uploadId = made.id;
      entry.received = made.received ?? 0;
      entry.chunkBytes = made.chunk_bytes ?? CHUNK_BYTES;
      this.options.onChange(entry);
    } else if (entry.tries || entry.restarts || !entry.chunkBytes) {
      entry.received = (await ask("GET", this.url(`uploads/${entry.uploadId}/`), csrf(), { until })).received;
    }
    const step = entry.chunkBytes || CHUNK_BYTES;
    while (entry.received < entry.size && !isOver()) {
      const at = entry.received;
      const chunk = blob.slice(at, at + step);
      const show = (/** @type {number} */ loaded) => {
        entry.sent = at + Math.min(loaded, chunk.size);
        this.options.onChange(entry);
      };
      const answer = await ask("PUT", this.url(`uploads/${entry.uploadId}/?offset=${at}`), csrf(), { chunk, until, onProgress: show }).catch((error) => {
        if (error.status === 409 && error.body.code === "offset" && error.body.received !== at) return error.body; // it has another part already
        throw error;
      });
      entry.received = answer.received;
      entry.sent = entry.received;
      entry.tries = 0;
      this.options.onChange(entry);
    }
    if (isOver()) return undefined;
    entry.state = "checking";
    this.options.onChange(entry);
    const done = await ask("POST", this.url(`uploads/${entry.uploadId}/finish/`), csrf(), { until, json: {} });
    if (isOver()) return undefined;
    entry.file = done.file;
    entry.name = done.file.name;
    entry.state = "done";
    entry.blob = null;
    delete entry.text;
    return undefined;
  }

  /** @param {Entry} entry @param {RequestError} error */
  failed(entry, error) {
    entry.sent = entry.received;
    if (error.status === 404 && entry.uploadId && entry.restarts < MOST_RESTARTS) {
      Object.assign(entry, { uploadId: undefined, received: 0, sent: 0, restarts: entry.restarts + 1, state: "waiting" });
      return;
    }
    entry.reason = error.message;
    entry.final = [400, 403, 413, 415, 422].includes(error.status);
    if (!error.isTemporary) {
      entry.state = "failed";
      return;
    }
    entry.state = "retrying";
    const grown = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** entry.tries) * (0.5 + Math.random() / 2);
    entry.tries += 1;
    entry.timer = setTimeout(() => this.retry(entry), (error.retryAfter || grown) * 1000);
  }
}
