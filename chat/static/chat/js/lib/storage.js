/** What this browser stores. Everything may be missing: storage can be full, blocked or cleared. */

/** @param {string} key @param {"local" | "session"} [where] */
export function recall(key, where = "local") {
  try {
    return (where === "local" ? localStorage : sessionStorage).getItem(`antiphon.${key}`);
  } catch {
    return null;
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

/** Deletes all drafts and unsent messages: others may use this browser. */
export function forgetWords() {
  for (const storage of [localStorage, sessionStorage]) {
    for (const key of Object.keys(storage)) {
      if (/^antiphon\.(draft|outbox)\./.test(key)) storage.removeItem(key);
    }
  }
}
