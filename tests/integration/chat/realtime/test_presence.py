"""Who is present in a conversation: what many who come at once are sent, and what a process that ended left unsaid."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from chat.eventlog import store
from chat.realtime import presence
from chat.realtime.presence import Presence, announcements

pytestmark = pytest.mark.usefixtures("layer")


async def heard_in(conversation: uuid.UUID) -> list[dict[str, Any]]:
    """The frames that every socket in the conversation gets."""
    frames: list[dict[str, Any]] = []
    layer = store.channel_layer()
    channel = await layer.new_channel()
    layer.attach(channel, lambda message: frames.append(json.loads(message["frame"])))
    await layer.group_add(store.group_name(conversation), channel)
    return frames


def names(frame: dict[str, Any]) -> list[str]:
    return sorted(one["name"] for one in frame["users"])


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


def person(shown: list[str] | None = None) -> Presence:
    return Presence(uuid.uuid4(), uuid.uuid4().hex, lambda _, frame: shown.append(frame) if shown is not None else None)


async def test_two_hundred_who_come_at_once_are_announced_together() -> None:
    """Each list has everybody, and goes to everybody: 200 lists would be 600 MB for 200 sockets."""
    conversation = uuid.uuid4()
    frames = await heard_in(conversation)
    shown: list[str] = []
    crowd = [person(shown) for _ in range(200)]
    for start in range(0, len(crowd), 20):
        some = crowd[start : start + 20]
        await asyncio.gather(*(one.enter(conversation, f"P{start + at}") for at, one in enumerate(some)))
    everybody = sorted(f"P{number}" for number in range(200))
    await until(lambda: bool(frames) and names(frames[-1]) == everybody)
    assert len(frames) <= 5
    assert len(shown) == 200, "each is shown who is there as it comes"
    assert names(json.loads(shown[-1])) == everybody
    frames.clear()
    await asyncio.gather(*(one.leave(conversation) for one in crowd[1:]))
    await until(lambda: bool(frames) and names(frames[-1]) == ["P0"])
    assert len(frames) <= 2


async def test_the_first_change_is_announced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PAUSE_SECONDS_EACH", 60.0)
    monkeypatch.setattr(presence, "MOST_PAUSE_SECONDS", 60.0)
    conversation = uuid.uuid4()
    frames = await heard_in(conversation)
    await person().enter(conversation, "Alice")
    await until(lambda: len(frames) == 1)
    assert names(frames[0]) == ["Alice"]


async def test_what_an_ended_process_did_not_announce_is_announced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = uuid.uuid4()
    frames = await heard_in(conversation)
    alice, bob = person(), person()
    await alice.enter(conversation, "Alice")
    await bob.enter(conversation, "Bob")
    await until(lambda: bool(frames) and names(frames[-1]) == ["Alice", "Bob"])
    with monkeypatch.context() as ending:
        ending.setattr(announcements(), "announce", lambda _: None)  # it ends after the change, before its announcement
        await bob.leave(conversation)
    await alice.renew()
    await until(lambda: names(frames[-1]) == ["Alice"])
    frames.clear()
    await alice.renew()
    await asyncio.sleep(0.1)
    assert frames == [], "nothing has changed since"
