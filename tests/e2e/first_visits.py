"""What a browser loads on a first visit, by the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

from tests.stack import Stack

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


LISTED = """
import datetime, uuid
from django.utils import timezone
from accounts.models import User
from chat.models import Conversation, Member, Message
alice, now = User.objects.get(email="alice@example.org"), timezone.now()
for n in range(50):
    at = now - datetime.timedelta(hours=9 * n)
    made = Conversation.objects.create(id=uuid.uuid4(), title=f"Notes on the harbour walk {uuid.uuid4().hex[:6]}")
    Member.objects.create(conversation=made, user=alice, role="owner")
    Conversation.objects.filter(pk=made.pk).update(updated_at=at)
last = None
for n in range(20):
    text = " ".join(f"word{(n * 37 + k * 11) % 997}" for k in range(120 if n % 2 else 15))
    role, author = ("assistant", None) if n % 2 else ("user", alice)
    last = Message.objects.create(conversation=made, parent=last, role=role, author=author, text=text,
        html=f"<p>{text}</p>" if n % 2 else "", created_at=now - datetime.timedelta(minutes=60 - n))
Conversation.objects.filter(pk=made.pk).update(tip=last)
from chat.shares.links import Wanted, create_share
print(made.pk, create_share(alice.pk, made.pk, Wanted(audience="anyone"))[1])
"""


def fill_list(stack: Stack) -> tuple[str, str]:
    """Alice has 50 conversations: the addresses of one with 20 messages, and of a page that shares it with anyone."""
    made, secret = stack.manage("shell", "--no-imports", "-c", LISTED).split()[-2:]
    return f"{stack.url}/c/{made}/", f"{stack.url}/s/{secret}"


PAINTS = """() => new Promise((done) => new PerformanceObserver((list, observer) => {
    const found = list.getEntriesByName("first-contentful-paint")[0];
    if (found) { observer.disconnect(); done(found.startTime); }
}).observe({ type: "paint", buffered: true }))"""


def first_paint(page: Page) -> float:
    """Milliseconds from the navigation's start to the first text or image on the screen."""
    return float(page.evaluate(PAINTS))
