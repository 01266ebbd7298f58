// Two duties: when a page cannot be had from the network, show the offline page instead of the browser's own; and show
// notifications (workers/push), unless a page of this site is in view.
const OFFLINE = {{ offline|safe }};
const FILES = {{ urls|safe }};
const CACHE = "offline";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.open(CACHE)
      .then(async (cache) => {
        const wanted = new Set(FILES.map((file) => new URL(file, location.origin).href));
        const kept = await cache.keys();
        await Promise.all(kept.filter((request) => !wanted.has(request.url)).map((request) => cache.delete(request)));
      })
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate" && request.method === "GET") {
    event.respondWith(fetch(request).catch(async () => (await caches.match(OFFLINE)) ?? Response.error()));
  } else if (request.method === "GET" && FILES.some((file) => request.url === new URL(file, location.origin).href)) {
    event.respondWith(fetch(request).catch(async () => (await caches.match(request)) ?? Response.error()));
  }
});

const windows = () => self.clients.matchAll({ type: "window", includeUncontrolled: true });

self.addEventListener("push", (event) => {
  const show = async () => {
    const news = (() => {
      try {
        return event.data?.json() ?? {};
      } catch {
        return {};
      }
    })();
    if ((await windows()).some((client) => client.visibilityState === "visible")) return;
    // `tag`: a later notification of the same conversation takes the place of the earlier one.
    const { title = "Antiphon", body = "There is something new.", tag = "news", url = "/", kind = "" } = news;
    await self.registration.showNotification(title, { body, tag, renotify: true, dir: "auto", data: { url, kind } });
  };
  event.waitUntil(show());
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const open = async () => {
    const target = new URL(event.notification.data?.url ?? "/", location.origin);
    if (target.origin !== location.origin) return;
    const known = (await windows()).find((client) => new URL(client.url).pathname === target.pathname);
    await (known ? known.focus() : self.clients.openWindow(target.href));
  };
  event.waitUntil(open());
});
