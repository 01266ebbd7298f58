"""Read positions of one connection: written at once, then coalesced; and whether its page can be seen."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from chat.notifications import visibility
from chat.notifications.positions import Moved
from chat.protocol.errors import ChatError, NotFound
from chat.protocol.reading import Seen, Visible
from chat.realtime import attention
from chat.realtime.attention import Attention
from chat.realtime.connection import Connection
from chat.realtime.subscriptions import Subscriptions

CONVERSATION = uuid.UUID(int=7)


class FakeConnection:
    """Follows one conversation; its tasks end with it."""

    def __init__(self) -> None:
        self.user_id, self.connection_id = uuid.UUID(int=1), "c1"
        self.cursors = {CONVERSATION.bytes: None}
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Room:
    """One connection's attention, and what it wrote and refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[uuid.UUID] = []
        self.visible: list[str] = []
        self.refused: list[tuple[str, str | None]] = []
        self.unknown: set[uuid.UUID] = set()
        self.connection = FakeConnection()
        monkeypatch.setattr(attention, "in_db", self.move)
        monkeypatch.setattr(attention, "publish_marks", self.nothing)
        monkeypatch.setattr(visibility, "show", self.show)
        monkeypatch.setattr(visibility, "hide", self.hide)
        monkeypatch.setattr(attention, "WRITE_SECONDS", 3600.0)
        subscriptions = cast("Subscriptions", None)  # asked for a name only where there are others
        self.attention = Attention(cast("Connection", self.connection), subscriptions, fail=self.fail)

    async def move(self, _: object, user: uuid.UUID, conversation: uuid.UUID, message: uuid.UUID) -> Moved:
        if message in self.unknown:
            raise NotFound
        self.written.append(message)
        return Moved(0, announced=False)

    async def nothing(self, *_: Any) -> None:
        """No sockets to tell."""

    async def show(self, *_: Any) -> None:
        self.visible.append("shown")

    async def hide(self, *_: Any) -> None:
        self.visible.append("hidden")

    def fail(self, error: ChatError, ref: str | None) -> None:
        self.refused.append((error.code, ref))

    async def see(self, message: uuid.UUID, ref: str | None = None) -> None:
        await self.attention.see(Seen(conversation_id=CONVERSATION, message_id=message, ref=ref))
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(monkeypatch)


async def test_the_first_at_once_and_the_last_when_it_closes(room: Room) -> None:
    messages = [uuid.UUID(int=number) for number in range(100)]
    for message in messages:
        await room.see(message)
    assert room.written == messages[:1]
    await room.connection.end()
    await room.attention.end()
    assert room.written == [messages[0], messages[-1]]


async def test_later_ones_follow_while_it_is_open(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "WRITE_SECONDS", 0.01)
    messages = [uuid.UUID(int=number) for number in range(3)]
    for message in messages:
        await room.see(message)
    await asyncio.gather(*room.connection.tasks)
    assert room.written[-1] == messages[-1]
    await room.see(messages[0])
    assert room.written[-1] == messages[0], "the next one begins anew"
    await room.connection.end()


async def test_one_that_is_not_there_is_refused_by_its_name(room: Room) -> None:
    unknown = uuid.UUID(int=5)
    room.unknown.add(unknown)
    await room.see(unknown, "r1")
    assert room.refused == [("not_found", "r1")]
    await room.connection.end()
    room.connection.cursors.clear()
    with pytest.raises(NotFound):
        await room.see(uuid.UUID(int=6))


async def test_a_page_is_visible_until_it_says_otherwise_or_closes(room: Room) -> None:
    for visible in (True, True, False, False, True):
        await room.attention.show(Visible(visible=visible))
        await asyncio.sleep(0)
    assert room.visible == ["shown", "hidden", "shown"]
    await room.connection.end()
    await room.attention.end()
    assert room.visible[-1] == "hidden"
