"""What a browser loads on a first visit, by the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

SLOW_4G = {"latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}  # as Lighthouse's


@dataclass
class Visit:
    """Requests over the network, sockets among them, and bytes received: headers, and bodies as they are sent."""

    requests: dict[str, str] = field(default_factory=dict)  # id: address
    bytes: dict[str, int] = field(default_factory=dict)  # id: bytes

    @property
    def kilobytes(self) -> float:
        return sum(self.bytes.values()) / 1000

    def table(self) -> str:
        """A line for each request, for people."""
        return "\n".join(f"{self.bytes.get(id_, 0):8,}  {url}" for id_, url in self.requests.items())

    def note_request(self, event: dict[str, Any]) -> None:
        if not event["request"]["url"].startswith(("data:", "blob:")):
            self.requests[event["requestId"]] = event["request"]["url"]

    def note_cached(self, event: dict[str, Any]) -> None:
        self.requests.pop(event["requestId"], None)

    def note_end(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.requests:
            self.bytes[event["requestId"]] = int(event["encodedDataLength"])

    def note_socket(self, event: dict[str, Any]) -> None:
        self.requests[event["requestId"]] = event["url"]


def watch_visit(page: Page, *, slow: bool = False) -> Visit:
    """Counts what the page loads from now on. `slow`: a quarter of the CPU's speed, and a slow 4G network."""
    visit = Visit()
    session = page.context.new_cdp_session(page)
    session.on("Network.requestWillBeSent", visit.note_request)
    session.on("Network.requestServedFromCache", visit.note_cached)
    session.on("Network.loadingFinished", visit.note_end)
    session.on("Network.webSocketCreated", visit.note_socket)
    session.send("Network.enable")
    if slow:
        session.send("Network.emulateNetworkConditions", {"offline": False, **SLOW_4G})
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    return visit


PAINTS = """() => new Promise((done) => new PerformanceObserver((list, observer) => {
    const found = list.getEntriesByName("first-contentful-paint")[0];
    if (found) { observer.disconnect(); done(found.startTime); }
}).observe({ type: "paint", buffered: true }))"""


def first_paint(page: Page) -> float:
    """Milliseconds from the navigation's start to the first text or image on the screen."""
    return float(page.evaluate(PAINTS))
