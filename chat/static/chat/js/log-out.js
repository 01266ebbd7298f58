// Whoever logs out, on whichever page: drafts and unsent messages are deleted, since others may use this browser. The
// server's `Clear-Site-Data` does so too, but only on secure pages, and not in every browser.
// A classic script on purpose: account pages and the admin have no import map.
(() => {
  const LONGEST_MS = 1000;

  /** Deletes the drafts of all users. */
  const forgetDrafts = () => {
    for (const storage of [localStorage, sessionStorage]) {
      for (const key of Object.keys(storage)) if (key.startsWith("antiphon.draft.")) storage.removeItem(key);
    }
  };

  /** Deletes the unsent messages of all users (`lib/database.js`). @returns {Promise<void>} */
  const forgetMessages = () =>
    new Promise((resolve, reject) => {
      const request = indexedDB.open("antiphon", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("outbox", { keyPath: "clientId" });
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const transaction = request.result.transaction("outbox", "readwrite");
        transaction.objectStore("outbox").clear();
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error);
      };
    });

  const forget = async () => {
    forgetDrafts();
    await forgetMessages();
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    const action = form.getAttribute("action") ?? ""; // `form.action` may be a field of that name, as in the admin's lists
    if (!new URL(action, location.href).pathname.endsWith("/logout/")) return;
    event.preventDefault();
    const submit = () => HTMLFormElement.prototype.submit.call(form);
    const longest = new Promise((resolve) => setTimeout(resolve, LONGEST_MS));
    Promise.race([forget(), longest]).then(submit, submit);
  });
})();
