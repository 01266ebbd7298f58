"""Answers that were cut short, for the tests of going on with them."""

from __future__ import annotations

import uuid

from accounts.models import User
from chat.models import Run, RunStatus
from chat.protocol.commands import MessageContinue
from chat.runs.claims import Claim, claim
from chat.runs.closing import mark_ended_in_log
from chat.runs.ending import Ending, end_run
from tests.fixtures.run_rows import row, say

CUT = "The quick brown"


def go_on(message_id: uuid.UUID, client_id: uuid.UUID | None = None) -> MessageContinue:
    return MessageContinue(message_id=message_id, client_id=client_id or uuid.uuid4())


def ended(user: User, status: RunStatus = RunStatus.DONE, finish: str = "length", text: str = CUT) -> Run:
    """An answer of a model, with its end in the log."""
    turn = say(user)
    claim(turn.run_id, "w")
    ending = Ending(text, finish=finish, input_tokens=10, output_tokens=3, endpoint="host", total_ms=500)
    assert end_run(turn.run_id, 1, status, ending, owner="w") is not None
    mark_ended_in_log([turn.run_id])
    return row(turn.run_id)


def claimed(run_id: uuid.UUID, owner: str = "w") -> Claim:
    found = claim(run_id, owner)
    assert found is not None
    return found
