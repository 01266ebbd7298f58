/** Marks words in a part of the page without changing it (CSS Custom Highlight API). Where there is none, nothing is marked. */

const NAME = "found";
const MOST = 500; // ranges

/** A text as the search compares it. @param {string} text */
export function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The words of a query. @param {string} query */
export function wordsOf(query) {
  return fold(query).split(/[^\p{L}\p{N}]+/u).filter(Boolean);
}

/** Marks the words of a query, and nothing else any more. @param {Element | null} root @param {string} query @returns {Range | undefined} the first one */
export function highlight(root, query) {
  if (!("highlights" in CSS)) return undefined;
  CSS.highlights.delete(NAME);
  const words = wordsOf(query);
  if (!root || !words.length) return undefined;
  /** @type {Range[]} */
  const ranges = [];
  const texts = document.createTreeWalker(root.querySelector(".body") ?? root, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node && ranges.length < MOST; node = texts.nextNode()) {
    ranges.push(...rangesIn(/** @type {Text} */ (node), words));
  }
  if (ranges.length) CSS.highlights.set(NAME, new Highlight(...ranges));
  return ranges[0];
}

/** @param {Text} node @param {string[]} words @returns {Range[]} */
function rangesIn(node, words) {
  let folded = "";
  /** @type {number[]} the place in the node of each character of `folded` */
  const places = [];
  let at = 0;
  for (const character of node.data) {
    const plain = fold(character);
    folded += plain;
    for (let index = 0; index < plain.length; index += 1) places.push(at);
    at += character.length;
  }
  places.push(at);
  const ranges = [];
  for (const word of words) {
    for (let found = folded.indexOf(word); found >= 0; found = folded.indexOf(word, found + word.length)) {
      if (found && /[a-z0-9]/.test(word[0]) && /[\p{L}\p{N}]/u.test(folded[found - 1])) continue;
      const range = document.createRange();
      range.setStart(node, places[found]);
      range.setEnd(node, places[found + word.length]);
      ranges.push(range);
    }
  }
  return ranges.sort((one, other) => one.startOffset - other.startOffset);
}
