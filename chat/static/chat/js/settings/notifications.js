/** The section of notified devices: asks the browser for its permission, only when the button is pressed. */

import { keep } from "antiphon/settings/choices";

/** @param {HTMLElement} root @param {() => void} reload */
export function startNotifications(root, reload) {
  const form = /** @type {HTMLElement | null} */ (root.querySelector("#notify"));
  const button = /** @type {HTMLButtonElement | null} */ (root.querySelector("#notify-start"));
  const words = root.querySelector("#notify-words");
  if (!form || !button || !words) return;
  const { key, add, user } = /** @type {Record<string, string>} */ (form.dataset);
  const texts = /** @type {DOMStringMap} */ (words.dataset);
  const remembered = `push.${user}`;
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
      const wanted = /** @type {HTMLInputElement} */ (root.querySelector("#notify-text")).checked;
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
      keep(remembered, wanted ? "text" : "plain");
      reload();
    } catch {
      say(texts.broken);
    } finally {
      button.disabled = false;
    }
  };

  root.querySelector(".settings-body")?.addEventListener("submit", (event) => {
    const removed = /** @type {HTMLFormElement} */ (event.target);
    if (!removed.hasAttribute("data-here")) return;
    keep(remembered, "");
    if (supported) void navigator.serviceWorker.ready.then((one) => one.pushManager.getSubscription()).then((one) => one?.unsubscribe());
  });

  if (form.hasAttribute("data-on")) say(texts.on);
  else if (!supported) say(texts.unsupported);
  else {
    say("");
    button.disabled = false;
    button.addEventListener("click", start);
  }
}
