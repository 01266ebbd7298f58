"""Runs whose worker is lost, and what of them is logged."""

from __future__ import annotations

import uuid
from typing import Any

from accounts.lib.db import in_db
from chat.eventlog import events, store
from chat.runs.claims import claim
from chat.turns.accepted import Accepted
from tests.fixtures.run_rows import shift

# The events of a message that recovery announced, and whose run it gave back to the queue.
ANNOUNCED_AND_LOST = ["message.created", "message.created", "run.queued", "run.interrupted", "run.queued"]


async def lose_lease(run_id: uuid.UUID, owner: str = "w") -> None:
    assert await in_db(claim, run_id, owner) is not None
    await in_db(shift, run_id, lease_expires_at=-1)


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in found]


async def write(turn: Accepted, text: str, number: int, attempt: int = 1, *, thinking: bool = False) -> None:
    ids = (str(turn.conversation_id), str(turn.run_id))
    delta = (events.run_reasoning if thinking else events.run_delta)(*ids, attempt, 0, text)
    await store.append(store.Append(turn.conversation_id, [delta], turn.run_id, attempt, number))
