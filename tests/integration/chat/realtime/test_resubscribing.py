"""A conversation that a socket follows already is subscribed to once more, on the real consumer and a real log."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import State, read_snapshot
from chat.eventlog import store
from chat.protocol.errors import Unavailable
from chat.realtime import subscriptions
from tests.integration.chat.realtime.test_subscription_limit import layer, opened, own_conversations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", layer.__name__)]


async def append(conversation: uuid.UUID, kind: str) -> None:
    body = json.dumps({"type": kind, "conversation_id": str(conversation)}).encode()
    await store.append(store.Append(conversation, [(body, False)]))


async def test_what_overtakes_a_snapshot_is_sent_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event comes after the snapshot's position was read, and before the snapshot is sent."""
    [conversation] = await in_db(own_conversations, alice, 1)

    async def read_late(*args: Any) -> State:
        state = await read_snapshot(*args)
        await append(conversation, "late")
        await append(conversation, "later")
        await asyncio.sleep(0.3)  # as long as an event could need from the log to a socket
        return state

    async with opened(alice) as socket:
        await socket.ask("subscribe", conversation_id=str(conversation))
        await append(conversation, "early")
        await socket.until("early")
        monkeypatch.setattr(subscriptions, "read_snapshot", read_late)
        reply = await socket.ask("subscribe", conversation_id=str(conversation))
        await socket.until("later")
        await append(conversation, "last")
        await socket.until("last")
        after = socket.frames[socket.frames.index(reply) :]
        assert [frame["type"] for frame in after if "seq" in frame] == ["late", "later", "last"]
        kinds = [frame["type"] for frame in socket.frames if "seq" in frame]
        assert kinds == ["early", "late", "later", "last"]


async def test_events_go_on_after_a_refusal(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot cannot be had: the subscription that there is stays, and what came meanwhile follows."""
    [conversation] = await in_db(own_conversations, alice, 1)

    async def refuse(*_: Any) -> State:
        await append(conversation, "meanwhile")
        await asyncio.sleep(0.3)
        raise Unavailable

    async with opened(alice) as socket:
        await socket.ask("subscribe", conversation_id=str(conversation))
        monkeypatch.setattr(subscriptions, "read_snapshot", refuse)
        assert (await socket.ask("subscribe", conversation_id=str(conversation)))["code"] == "unavailable"
        await socket.until("meanwhile")
        await append(conversation, "live")
        await socket.until("live")
        assert [frame["type"] for frame in socket.frames if "seq" in frame] == ["meanwhile", "live"]
