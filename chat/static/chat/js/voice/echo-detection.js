/** Tells the user's speech from the loudspeaker's by its words. Pure. */

const ALIKE = 0.6; // this share of the heard words, in order, makes it an echo

/** @param {string} text @returns {string[]} */
export function wordsOf(text) {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/**
 * Whether `heard` is our own voice: most of its words are among those said aloud of late, in that order.
 * @param {string} heard @param {string} said
 */
export function isEcho(heard, said) {
  const [mine, theirs] = [wordsOf(said), wordsOf(heard)];
  if (!theirs.length) return false;
  let row = new Array(mine.length + 1).fill(0); // the longest common subsequence, a row at a time
  for (const word of theirs) {
    const next = [0];
    mine.forEach((own, i) => next.push(own === word ? row[i] + 1 : Math.max(row[i + 1], next[i])));
    row = next;
  }
  return row[mine.length] >= theirs.length * ALIKE;
}
