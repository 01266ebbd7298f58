/** Names of people within sentences. The server shows none with control characters (accounts/lib/names.py). */

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

/**
 * A name that leaves the direction of the words around it alone: within Unicode's isolates, where it needs them.
 * @param {string} name
 */
export function isolate(name) {
  return RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name;
}

/** A name as an element that does so. @param {string} name */
export function nameElement(name) {
  return Object.assign(document.createElement("bdi"), { textContent: name });
}
