/**
 * Browser notifications, as far as the conversation page has to do with them: it says whether it can be seen, and signs
 * this browser up again after a log-in. The permission is asked for on the page of notified devices only.
 */

import { post } from "antiphon/lib/fetch";
import { recall } from "antiphon/lib/storage";

/**
 * @param {any} page what the server put into the page
 * @param {import("antiphon/wire/socket").Socket} socket
 */
export function startPush(page, socket) {
  if (!page.push) return; // switched off on this site
  let any = Boolean(page.push.any); // this person has a notified device
  let offered = false;
  const tell = () => {
    if (any && offered) socket.send({ type: "visible", visible: document.visibilityState === "visible" });
  };
  socket.on("hello", (hello) => {
    offered = hello.features?.includes("seen") ?? false;
    setTimeout(tell); // when the socket takes frames
  });
  socket.on("push.changed", (notice) => {
    any = notice.on;
    tell();
  });
  document.addEventListener("visibilitychange", tell);
  void renew(page);
}

/** The session in which this browser signed up has ended, or its push service gave it another address. @param {any} page */
async function renew(page) {
  const chosen = recall(`push.${page.user.id}`);
  if (!chosen || page.push.here || !("PushManager" in window) || Notification.permission !== "granted") return;
  const worker = await navigator.serviceWorker.ready;
  const { endpoint, keys } = (await worker.pushManager.getSubscription())?.toJSON() ?? {};
  if (!endpoint || !keys) return;
  const fields = { endpoint, p256dh: keys.p256dh, auth: keys.auth, with_text: chosen === "text" ? "1" : "0" };
  await post(page.urls.device_add, page.csrf, fields).catch(() => {}); // the next page tries again
}

/**
 * Closes what this browser shows of a conversation that has been settled meanwhile.
 * @param {string} conversation @param {string} kind of notification
 */
export async function closeNotifications(conversation, kind) {
  if (!("Notification" in window) || Notification.permission !== "granted" || !("serviceWorker" in navigator)) return;
  const registration = await navigator.serviceWorker.getRegistration();
  for (const one of (await registration?.getNotifications({ tag: conversation })) ?? []) if (one.data?.kind === kind) one.close();
}
