"""Conversations with parameters of their own, answered for the tests."""

from __future__ import annotations

import uuid
from typing import Any

from accounts.models import User
from chat.models import RunStatus
from chat.runs.claims import Claim, claim
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from tests.fixtures.people import logged_in


def claimed(run_id: uuid.UUID) -> Claim:
    found = claim(run_id, "w")
    assert found is not None
    return found


def told(got: Claim) -> dict[str, Any]:
    return {
        "temperature": got.temperature, "max_tokens": got.max_tokens, "effort": got.effort,
        "system_prompt": got.system_prompt,
    }  # fmt: skip


def answered(accepted: Accepted, finish: str = "length") -> dict[str, Any]:
    """Answers a run; what its request has."""
    got = claimed(accepted.run_id)
    end_run(accepted.run_id, got.run.attempt, RunStatus.DONE, Ending("Arr", finish=finish))
    return told(got)


def post(user: User, conversation_id: uuid.UUID, **fields: Any) -> Any:
    return logged_in(user).post(f"/c/{conversation_id}/parameters/", fields)


def shown(user: User, conversation_id: uuid.UUID) -> Any:
    return logged_in(user).get(f"/c/{conversation_id}/parameters/").json()
