"""Three pages that chat while something happens to the machines; the history checker judges what they received."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from tests.chaos import people
from tests.chaos.driving import Scene
from tests.chaos.people import Page, World
from tests.client import session
from tests.fixtures.measurements import measured
from tests.stack import Stack

SCRIPTS = ("tokens=5", "tokens=60 rate=40", "tokens=150 rate=40", "tokens=20 first_delay=2 rate=40")
CONVERSATIONS = 8  # of each page


class Visitors(World):
    """Pages that know one address, as browsers do: a proxy's; without one, that of a web process that is ready."""

    def __init__(self, stack: Stack, here: Scene, url: str | None, trust: ssl.SSLContext | None) -> None:
        super().__init__(stack, here, None)  # type: ignore[arg-type]  # no hand is needed
        self.url = url
        for browser in self.browsers.values():
            browser.trust = trust
        self.pages = [Page("alice") for _ in range(3)]
        self.fields: dict[str, Any] = {"ask": True}  # of a message, besides its text

    def any_web(self) -> str:
        if self.url is not None:
            return self.url
        ready = [web for web in self.stack.webs if web.status() == 200]
        self.turn += 1
        return (ready or self.stack.webs)[self.turn % len(ready or self.stack.webs)].url


@contextlib.asynccontextmanager
async def chatting(
    stack: Stack, *, url: str | None = None, trust: ssl.SSLContext | None = None, asks: bool = True
) -> AsyncGenerator[Visitors, None]:
    """Three pages send messages while the block does its work; then all is judged. `url`: of a proxy. `asks`: they say
    that a model is to answer, which 0.1.0 does not know.
    """
    async with session(url or stack.url, fresh=True, trust=trust) as alice:
        here = Scene(stack, alice, judges_at=url)
        visitors = Visitors(stack, here, url, trust)
        if not asks:
            visitors.fields = {}
        for page in visitors.pages:  # one after the other: they share a log-in
            await visitors.socket(page)
        over = asyncio.Event()
        tasks = [asyncio.create_task(_chat(visitors, page, over)) for page in visitors.pages]
        try:
            yield visitors
        finally:
            over.set()
        sent = sum(await asyncio.gather(*tasks))
        took = await here.history.settle(stack, 60)
        measured("messages; seconds until all was at rest", f"{sent}; {took:.1f}")
        assert sent > 10
        for page in visitors.pages:
            await visitors.socket(page)
        await here.judge(40)
        await visitors.close()


async def _chat(visitors: Visitors, page: Page, over: asyncio.Event) -> int:
    sent, conversations = 0, list[str]()
    while not over.is_set():
        fields: dict[str, Any] = {
            "client_id": str(uuid.uuid4()), "text": f"{sent} [[{random.choice(SCRIPTS)}]]", **visitors.fields,
        }  # fmt: skip
        new = len(conversations) < CONVERSATIONS
        fields["conversation_id"] = None if new else conversations[sent % CONVERSATIONS]
        reply = await visitors.ask(page, "message.send", **fields)
        if reply.get("code") != "busy":  # its answer is still being written
            assert reply["type"] == "message.accepted", reply
            sent += 1
            if new:
                conversations.append(reply["conversation_id"])
        await asyncio.sleep(random.uniform(0.2, 1.0))
    return sent


async def ends_of_answers(
    stack: Stack,
    how: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    url: str | None = None,
    trust: ssl.SSLContext | None = None,
    asks: bool = True,
) -> dict[str, int]:
    """Does it while pages chat; how many answers ended in which way."""
    monkeypatch.setattr(people, "AWAY_SECONDS", 90.0)
    [before] = stack.sql("SELECT clock_timestamp() AS now")
    async with chatting(stack, url=url, trust=trust, asks=asks):
        await asyncio.sleep(5)
        await how()
        await asyncio.sleep(5)
    rows = stack.sql("SELECT status, count(*) AS n FROM chat_run WHERE created_at > %s GROUP BY status", before["now"])
    measured("ends", str(found := {row["status"]: row["n"] for row in rows}))
    return found
