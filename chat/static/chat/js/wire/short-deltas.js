/** The short form of deltas (docs/protocol.md §2): `[alias, text]` continues a text whose first delta came whole, with that alias. */

import { codePoints } from "antiphon/wire/protocol";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const ALIASES = 256; // the newest ones, that the server uses

export class ShortDeltas {
  constructor() {
    /** By alias: the whole delta before, and where the next one begins. @type {Map<number, {delta: Frame, end: number}>} */
    this.texts = new Map();
    /** The newest `seq` of each conversation on this connection. @type {Map<string, number>} */
    this.seqs = new Map();
  }

  /** The frame in its whole form. @param {Frame | [number, string]} frame @returns {Frame} */
  expand(frame) {
    if (Array.isArray(frame)) return this.continue(...frame);
    if (frame.seq) this.seqs.set(frame.conversation_id, frame.seq);
    if (frame.alias !== undefined) {
      this.texts.set(frame.alias, { delta: frame, end: frame.index + codePoints(frame.text) });
      this.texts.delete(frame.alias - ALIASES);
    }
    return frame;
  }

  /** @param {number} alias @param {string} text @returns {Frame} */
  continue(alias, text) {
    const known = this.texts.get(alias);
    if (!known) throw new Error(`no delta with alias ${alias} came before`);
    const { delta, end: index } = known;
    const seq = (this.seqs.get(delta.conversation_id) ?? 0) + 1;
    this.seqs.set(delta.conversation_id, seq);
    known.end = index + codePoints(text);
    return { ...delta, seq, index, text };
  }
}
