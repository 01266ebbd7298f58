"""What is sent before the handshake of a socket is over."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from chat.protocol.close_codes import Close
from chat.realtime.connection import Connection
from tests.unit.chat.realtime.test_delivery import MemoryLog


async def greet_late(*before: Callable[[Connection], None]) -> list[dict[str, Any]]:
    """What a socket sends whose handshake ends after all of `before`."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    connection = Connection(send, uuid.UUID(int=9), "s", read=MemoryLog().read)
    for step in before:
        step(connection)
        await asyncio.sleep(0)
    assert not sent, "the handshake is not over"
    connection.begin("hello")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await connection.end()
    return sent


def test_nothing_is_sent_before_the_handshake_is_over() -> None:
    """Another tab of the same user is busy: its news wait for the greeting."""
    sent = asyncio.run(greet_late(lambda one: one.put("first"), lambda one: one.put("second")))
    assert [message["text"] for message in sent] == ["hello", "first", "second"]


def test_a_session_that_ends_during_the_handshake_only_closes() -> None:
    sent = asyncio.run(greet_late(lambda one: one.put("news"), lambda one: one.close(Close.SESSION_ENDED)))
    assert sent == [{"type": "websocket.close", "code": 4401}]
