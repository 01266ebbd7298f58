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
  /** The server puts a style sheet into a page until the browser has been there: from then on it is a cached file. */
  const noteStyles = () => {
    const here = [...document.querySelectorAll("style[data-version]")].map((style) => style.dataset.version);
    if (!here.length) return;
    const seen = /(?:^|; )styles=([^;]*)/.exec(document.cookie)?.[1].split(".") ?? [];
    const all = [...new Set([...here, ...seen])].slice(0, 8).join("."); // the newest, after updates of the site
    document.cookie = `styles=${all}; path=/; max-age=31536000; samesite=lax`;
  };
  /** The server groups the list of conversations by the reader's days, from the next page on; UTC's without it. */
  const noteZone = () => {
    try {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      document.cookie = `timezone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
    } catch {
      // The browser knows of no zone.
    }
  };
  const worker = document.currentScript?.dataset.worker;
  // Both would cost a fifth of a second before the first paint, on a slow phone.
  window.addEventListener("load", () => {
    noteZone();
    noteStyles();
    if (worker && "serviceWorker" in navigator && window.isSecureContext) {
      navigator.serviceWorker.register(worker).catch(() => {});
    }
  });
  // The offline page looks for the network now and then, and comes back with it.
  window.addEventListener("DOMContentLoaded", () => {
    if (document.body.dataset.page !== "offline") return;
    const look = () => fetch(location.href, { method: "HEAD", cache: "no-store" }).then(() => location.reload(), () => {});
    window.addEventListener("online", look);
    setInterval(look, 3000);
  });
})();
