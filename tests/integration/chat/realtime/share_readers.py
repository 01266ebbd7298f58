"""Owners of live shares, and readers of their event streams."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from tests.client import Client, Session, session
from tests.stack import Stack
from tests.watching import Watcher, watcher


@contextlib.asynccontextmanager
async def owner(stack: Stack) -> AsyncGenerator[tuple[Session, Client, str], None]:
    """Alice, her socket, and a conversation with one answer."""
    async with session(stack.url) as alice:
        client = await alice.connect()
        accepted = await client.say("Begin [[tokens=3]]")
        await client.ended(accepted["run_id"])
        yield alice, client, accepted["conversation_id"]
        await client.close()


async def share(alice: Session, conversation: str, **fields: str) -> dict[str, Any]:
    form = {"kind": "live", "audience": "anyone", "days": "30", "names": "1", **fields}
    answer = await alice.post(f"/c/{conversation}/shares/new/", form)
    made: dict[str, Any] = await answer.json()
    assert answer.status == 200, made
    return made


async def snapshot_at(one: Watcher) -> None:
    await one.until(lambda: one.snapshots, "a snapshot")


@contextlib.asynccontextmanager
async def reading(alice: Session, conversation: str, **fields: str) -> AsyncGenerator[tuple[Watcher, str], None]:
    """A reader of a new live link, not connected yet, and the link's id."""
    made = await share(alice, conversation, **fields)
    async with watcher(made["url"]) as reader:
        yield reader, made["link_id"]
