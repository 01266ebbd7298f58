// One duty: when a page cannot be had from the network, show the offline page instead of the browser's own.
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
