/** Names of people within sentences. The server shows none with control characters (accounts/lib/names.py). */

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

/**
 * A name or another part of a line, so that it leaves the direction of the words around it alone: within Unicode's
 * isolates, where it needs them. accounts/lib/names.py has the same. @param {string} name
 */
export function isolate(name) {
  return document.dir === "rtl" || RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name;
}

/** A name as an element that does so. @param {string} name */
export function nameElement(name) {
  return Object.assign(document.createElement("bdi"), { textContent: name });
}
