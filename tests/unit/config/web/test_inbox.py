"""What a client has sent, until the application takes it."""

from __future__ import annotations

import asyncio

import pytest

from config.web.inbox import Inbox


async def test_messages_come_in_order_whether_somebody_waits_or_not() -> None:
    inbox = Inbox()
    inbox.put_nowait({"n": 0})
    inbox.put_nowait({"n": 1})
    assert [await inbox.get(), await inbox.get()] == [{"n": 0}, {"n": 1}]
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    for n in (2, 3, 4):
        inbox.put_nowait({"n": n})
    assert [await waiting, await inbox.get(), await inbox.get()] == [{"n": 2}, {"n": 3}, {"n": 4}]


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    """Also where it was cancelled in the same turn of the loop in which the message came."""
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait({"n": 1})
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    inbox.put_nowait({"n": 2})
    assert [await inbox.get(), await inbox.get()] == [{"n": 1}, {"n": 2}]
