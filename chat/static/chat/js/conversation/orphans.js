/** Messages whose parent the page does not have yet: of two people who write at once, the later one may come first. */

/** @typedef {import("antiphon/wire/protocol").Message} Message */

const MOST = 100;

export class Orphans {
  constructor() {
    /** By the parent's id. @type {Map<string, Message[]>} */
    this.waiting = new Map();
  }

  /** @param {Message} message */
  keep(message) {
    if (!message.parent_id || this.waiting.size >= MOST) return; // it is there after the next reload
    this.waiting.set(message.parent_id, [...(this.waiting.get(message.parent_id) ?? []), message]);
  }

  /** A message is there: what waits for it follows. @param {string} id @param {(message: Message) => void} place */
  release(id, place) {
    const found = this.waiting.get(id) ?? [];
    this.waiting.delete(id);
    for (const message of found) place(message);
  }
}
