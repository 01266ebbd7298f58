/** What this browser stores. Everything may be missing: storage can be full, blocked or cleared. */

/** @param {string} key @param {"local" | "session"} [where] */
export function recall(key, where = "local") {
  try {
    return (where === "local" ? localStorage : sessionStorage).getItem(`antiphon.${key}`);
  } catch {
    return null;
  }
}

/** All that is stored under keys that begin alike. @param {string} prefix @returns {[string, string][]} */
export function recallAll(prefix) {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(`antiphon.${prefix}`));
    return keys.map((key) => [key.slice("antiphon.".length), localStorage.getItem(key) ?? ""]);
  } catch {
    return [];
  }
}

/** @param {string} key @param {string | null} value null forgets @param {"local" | "session"} [where] */
export function remember(key, value, where = "local") {
  try {
    const storage = where === "local" ? localStorage : sessionStorage;
    if (value === null || value === "") storage.removeItem(`antiphon.${key}`);
    else storage.setItem(`antiphon.${key}`, value);
  } catch {
    // It is not stored; the page works without.
  }
}
