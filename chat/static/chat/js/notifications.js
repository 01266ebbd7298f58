// The page of notified devices: asks the browser for its permission, only when the button is pressed.
// A classic script on purpose: account pages have no import map.
(() => {
  const form = document.getElementById("notify");
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("notify-start"));
  const words = document.getElementById("notify-words");
  if (!form || !button || !words) return;
  const { key, add, user } = /** @type {Record<string, string>} */ (form.dataset);
  const texts = /** @type {Record<string, string>} */ (words.dataset);
  const remembered = `antiphon.push.${user}`;
  const supported = window.isSecureContext && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

  /** @param {string} said */
  const say = (said) => {
    words.textContent = said;
  };

  /** @param {string} text base64url @returns {Uint8Array<ArrayBuffer>} */
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));

  const start = async () => {
    button.disabled = true;
    try {
      if ((await Notification.requestPermission()) !== "granted") {
        say(texts.refused);
        return;
      }
      const registration = await navigator.serviceWorker.ready;
      const known = await registration.pushManager.getSubscription();
      await known?.unsubscribe(); // it may be of another key, or of another person
      const made = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
      const { endpoint, keys } = made.toJSON();
      const csrf = /** @type {HTMLInputElement} */ (form.querySelector("[name=csrfmiddlewaretoken]")).value;
      const wanted = /** @type {HTMLInputElement} */ (document.getElementById("notify-text")).checked;
      const response = await fetch(add, {
        method: "POST",
        headers: { "X-CSRFToken": csrf, Accept: "application/json" },
        body: new URLSearchParams({ endpoint: endpoint ?? "", p256dh: keys?.p256dh ?? "", auth: keys?.auth ?? "", with_text: wanted ? "1" : "0" }),
      });
      if (!response.ok) {
        await made.unsubscribe();
        say((await response.json().catch(() => ({}))).message ?? texts.failed);
        return;
      }
      try {
        localStorage.setItem(remembered, wanted ? "text" : "plain");
      } catch {
        // Storage is blocked: after the next log-in the person turns it on again.
      }
      location.reload();
    } catch {
      say(texts.broken);
    } finally {
      button.disabled = false;
    }
  };

  document.addEventListener("submit", (event) => {
    const removed = /** @type {HTMLFormElement} */ (event.target);
    if (!removed.hasAttribute("data-here")) return;
    try {
      localStorage.removeItem(remembered);
    } catch {
      // As above.
    }
    if (supported) void navigator.serviceWorker.ready.then((one) => one.pushManager.getSubscription()).then((one) => one?.unsubscribe());
  });

  if (form.hasAttribute("data-on")) say(texts.on);
  else if (!supported) say(texts.unsupported);
  else {
    say("");
    button.disabled = false;
    button.addEventListener("click", start);
  }
})();
