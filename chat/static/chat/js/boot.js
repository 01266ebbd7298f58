// Runs before the page is painted: theme, text size, density and sidebar as they were left, so that nothing flashes.
// A classic script on purpose; a module would run after the first paint.
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("antiphon.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("antiphon.sidebar") === "closed") root.dataset.sidebar = "closed";
    for (const name of ["text", "density"]) {
      const chosen = localStorage.getItem(`antiphon.${name}`);
      if (chosen) root.dataset[name] = chosen;
    }
  } catch {
    // Storage is blocked: the defaults stand.
  }
  try {
    // The server groups the list of conversations by the reader's days.
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    document.cookie = `timezone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
  } catch {
    // Without it, days are those of UTC.
  }
  if (document.currentScript?.dataset.worker && "serviceWorker" in navigator && window.isSecureContext) {
    navigator.serviceWorker.register(document.currentScript.dataset.worker).catch(() => {});
  }
  // The offline page looks for the network now and then, and comes back with it.
  window.addEventListener("DOMContentLoaded", () => {
    if (document.body.dataset.page !== "offline") return;
    const look = () => fetch(location.href, { method: "HEAD", cache: "no-store" }).then(() => location.reload(), () => {});
    window.addEventListener("online", look);
    setInterval(look, 3000);
  });
})();
