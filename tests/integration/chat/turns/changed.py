"""Answers and logs of the tests of changed messages."""

from __future__ import annotations

from chat.models import Message
from chat.turns.accepted import Accepted
from tests.fixtures.run_rows import row


def answer_of(turn: Accepted) -> Message:
    return row(turn.run_id).message
