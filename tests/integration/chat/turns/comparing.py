"""Comparisons for the tests: made, finished, tried again, and what of them is logged."""

from __future__ import annotations

import uuid
from typing import Any

from accounts.models import User
from chat.models import RunStatus
from chat.protocol.commands import MessageRegenerate
from chat.runs.claims import claim
from chat.runs.closing import mark_ended_in_log
from chat.runs.ending import Ending, end_run
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from tests.fixtures.run_rows import row, say

THREE = ["small", "medium", "large"]


def compare(user: User, models: list[str] | None = None, **fields: Any) -> Accepted:
    return say(user, models=models or THREE, **fields)


def finish(run_id: uuid.UUID, text: str = "Hi", status: RunStatus = RunStatus.DONE, **fields: Any) -> None:
    claim(run_id, "w")
    ending = Ending(text, finish="stop", input_tokens=10, output_tokens=3, endpoint="host", total_ms=500, **fields)
    assert end_run(run_id, row(run_id).attempt, status, ending, owner="w") is not None
    mark_ended_in_log([run_id])


def finished(user: User, *texts: str, **fields: Any) -> Accepted:
    """A comparison whose answers are complete."""
    accepted = compare(user, **fields)
    for run, text in zip(accepted.several, texts or ("one", "two", "three"), strict=True):
        finish(run.pk, text)
    return accepted


def retry(user: User, answer: uuid.UUID, **fields: Any) -> Accepted:
    return accept(user.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4(), **fields))
