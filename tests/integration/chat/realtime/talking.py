"""Sessions of the cast in the shared stack, and answers that have ended."""

from __future__ import annotations

import contextlib
from typing import Any

from tests.client import Client, session
from tests.stack import Stack


@contextlib.asynccontextmanager
async def user(stack: Stack, name: str = "alice", *, fresh: bool = False) -> Any:
    async with session(stack.url, f"{name}@example.org", fresh=fresh) as logged_in:
        yield logged_in


async def finished(client: Client, prompt: str, conversation: str | None = None) -> dict[str, Any]:
    """Sends and waits for the answer; the accepted frame."""
    accepted = await client.say(prompt, conversation)
    assert accepted["type"] == "message.accepted", accepted
    await client.ended(accepted["run_id"])
    return accepted
