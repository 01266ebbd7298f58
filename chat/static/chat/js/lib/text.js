/** Texts as the server stores them, and their size as it counts. */

// Everything that is not text: control characters but tab and line feed, as chat/protocol has them.
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
const LONE_SURROGATES = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * The text with line feeds as line ends, without control characters, and with U+FFFD for each half of a character.
 * @param {string} text
 */
export function cleanText(text) {
  const lines = text.replace(/\r\n?/g, "\n").replace(CONTROLS, "");
  const wellFormed = /** @type {any} */ (lines).toWellFormed;
  return wellFormed ? wellFormed.call(lines) : lines.replace(LONE_SURROGATES, "\ufffd");
}

const ENDLESS = 1_000; // characters of a word; as chat_page.py has it

/** Whether a text has a word that takes seconds to lay out with kerning. @param {string} text */
export function isEndless(text) {
  return text.length >= ENDLESS && text.split(/\s+/).some((word) => word.length >= ENDLESS);
}

/** The bytes of a text in UTF-8. @param {string} text */
export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}
