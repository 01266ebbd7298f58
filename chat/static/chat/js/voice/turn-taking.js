/** Whose turn it is in a spoken conversation, by the words: listening noises, and sentences that go on. Pure. */

import { wordsOf } from "antiphon/voice/echo-detection";

// What people say while they listen, without wanting to speak: of the page's languages, as recognisers write it.
const BACK_CHANNEL = new Set(
  (
    "uh huh uhhuh mhm mm mmm hmm hm aha ah oh okay ok yeah yep yes right sure well " +
    "ja genau stimmt ach so gut sí si claro vale ya oui ouais d'accord sim isso tá はい うん ええ 嗯 对 好 نعم طيب"
  ).split(" "),
);
const MOST_WORDS = 3;
// Who says one of these last has not finished.
const OPEN_ENDS = new Set(
  (
    "and but or because so that the a an of to in with for from if when while which who my your is are was um uh er " +
    "und aber oder weil dass der die das ein eine mit für von zu wenn ist äh ähm " +
    "y pero o porque que el la los las un una de con para si es eh " +
    "et mais ou parce le les une des du avec pour quand est euh e mas ou porque os as um uma do da com para é"
  ).split(" "),
);
const PAUSE_MS = 1_800; // that an unfinished sentence may take

/** Whether a text is only what a listener says. @param {string} text */
export function isBackChannel(text) {
  const words = wordsOf(text);
  return words.length > 0 && words.length <= MOST_WORDS && words.every((word) => BACK_CHANNEL.has(word));
}

/** How long to wait for more before a final transcript is sent: 0 where it sounds finished. @param {string} text @returns {number} ms */
export function pauseAfter(text) {
  if (/[?!？！]\s*$/.test(text)) return 0;
  if (/(,|;|:|…|\.\.\.|-|–)\s*$/.test(text)) return PAUSE_MS;
  return OPEN_ENDS.has(wordsOf(text).at(-1) ?? "") ? PAUSE_MS : 0;
}
