"""Runs whose worker is lost, and what of them is logged."""

from __future__ import annotations

import json
import uuid
from typing import Any

from accounts.lib.db import in_db
from chat.eventlog import events, store
from chat.runs.lifecycle import claim
from chat.turns.accepted import Accepted
from tests.fixtures.run_rows import shift


async def lose_lease(run_id: uuid.UUID, owner: str = "w") -> None:
    assert await in_db(claim, run_id, owner) is not None
    await in_db(shift, run_id, lease_expires_at=-1)


async def logged(turn: Accepted) -> list[dict[str, Any]]:
    here, _ = await store.position(turn.conversation_id)
    return [json.loads(entry.body) for entry in await store.entries(turn.conversation_id, after=0, until=here.seq)]


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in found]


async def write(turn: Accepted, text: str, number: int, attempt: int = 1, *, thinking: bool = False) -> None:
    ids = (str(turn.conversation_id), str(turn.run_id))
    delta = (events.run_reasoning if thinking else events.run_delta)(*ids, attempt, 0, text)
    await store.append(store.Append(turn.conversation_id, [delta], turn.run_id, attempt, number))
