"""A held message, for the tests of them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.models import User
from chat.models import Message, ModerationCase
from chat.recovery import reaper
from chat.turns import releasing
from chat.turns.accepted import Accepted
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.published_jobs import catch_jobs
from tests.fixtures.run_rows import say

TEXT = "Where does the badger live?"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The runs whose jobs were published; nothing is."""
    return catch_jobs(monkeypatch, releasing, reaper)


def hold(user: User, text: str = TEXT, **fields: Any) -> tuple[Accepted, uuid.UUID]:
    """A held message, and its case."""
    if not ModerationCase.objects.exists():
        add_rule("hold", "badger")
    accepted = say(user, text, **fields)
    return accepted, ModerationCase.objects.get(target_id=accepted.message_id).pk


def prompt_of(accepted: Accepted) -> Message:
    return Message.objects.get(pk=accepted.message_id)
