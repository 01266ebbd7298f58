/**
 * This tab's id, which survives its reloads, and which other tabs are open. A tab holds a lock by its id as long as it
 * lives (Web Locks, on secure pages only). Without locks, tabs ask each other over a BroadcastChannel.
 */

import { recall, remember } from "antiphon/lib/storage";
import { makeId } from "antiphon/wire/protocol";

const LOCK = "antiphon.tab.";
const CHANNEL = "antiphon.tabs";
const ANSWER_MS = 300; // how long other tabs have to answer

export class Tab {
  constructor() {
    this.id = recall("tab", "session") ?? makeId();
    remember("tab", this.id, "session");
    this.channel = navigator.locks ? null : this.listen();
    /** Settles once the id is this tab's alone: a duplicated tab has that of its original, and takes a new one. */
    this.ready = this.claim();
  }

  /** @returns {Promise<void>} */
  async claim() {
    if (navigator.locks ? await this.hold() : !(await this.ask()).has(this.id)) return;
    this.id = makeId();
    remember("tab", this.id, "session");
    if (navigator.locks) await this.hold();
  }

  /** Answers other tabs that ask. @returns {BroadcastChannel | null} null where this browser has none */
  listen() {
    if (!("BroadcastChannel" in window)) return null;
    const channel = new BroadcastChannel(CHANNEL);
    channel.addEventListener("message", ({ data }) => {
      if (data.ask) channel.postMessage({ id: this.id });
    });
    return channel;
  }

  /** The ids of the other tabs that answer, which may include this one's. @returns {Promise<Set<string>>} */
  async ask() {
    /** @type {Set<string>} */
    const found = new Set();
    const { channel } = this;
    if (!channel) return found;
    /** @param {MessageEvent} event */
    const note = ({ data }) => void (data.id && found.add(data.id));
    channel.addEventListener("message", note);
    channel.postMessage({ ask: true });
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    channel.removeEventListener("message", note);
    return found;
  }

  /** @returns {Promise<boolean>} false when another tab has the id */
  hold() {
    return new Promise((resolve) => {
      navigator.locks
        .request(LOCK + this.id, { ifAvailable: true }, (lock) => {
          resolve(Boolean(lock));
          return lock ? new Promise(() => {}) : undefined; // held until the tab is closed
        })
        .catch(() => resolve(true)); // locks are blocked here
    });
  }

  /** The ids of the other open tabs, as far as they are known. @returns {Promise<Set<string>>} */
  async others() {
    if (!navigator.locks) return this.ask();
    const held = (await navigator.locks.query().catch(() => null))?.held ?? [];
    const ids = held.map((lock) => lock.name ?? "").filter((name) => name.startsWith(LOCK));
    return new Set(ids.map((name) => name.slice(LOCK.length)).filter((id) => id !== this.id));
  }
}
