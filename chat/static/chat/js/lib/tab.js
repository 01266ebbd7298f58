/**
 * This tab's id, which survives its reloads, and which other tabs are open. A tab holds a lock by its id as long as it
 * lives (Web Locks, on secure pages only); without locks no other tab is known.
 */

import { recall, remember } from "antiphon/lib/storage";
import { makeId } from "antiphon/wire/protocol";

const LOCK = "antiphon.tab.";

export class Tab {
  constructor() {
    this.id = recall("tab", "session") ?? makeId();
    remember("tab", this.id, "session");
    /** Settles once the id is this tab's alone: a duplicated tab has that of its original, and takes a new one. */
    this.ready = this.claim();
  }

  /** @returns {Promise<void>} */
  async claim() {
    if (!navigator.locks) return;
    if (await this.hold()) return;
    this.id = makeId();
    remember("tab", this.id, "session");
    await this.hold();
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
    const held = navigator.locks ? ((await navigator.locks.query().catch(() => null))?.held ?? []) : [];
    const ids = held.map((lock) => lock.name ?? "").filter((name) => name.startsWith(LOCK));
    return new Set(ids.map((name) => name.slice(LOCK.length)).filter((id) => id !== this.id));
  }
}
