"""What the tests of decisions about calls of tools share."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from accounts.models import User
from chat.models import Member, ToolCall
from chat.protocol.deciding import ToolDecide
from chat.recovery import reaper
from chat.turns import deciding
from chat.turns.deciding import decide_call
from tests.fixtures.published_jobs import catch_jobs
from tests.fixtures.tool_rows import Waiting


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The runs whose jobs were published; nothing is."""
    return catch_jobs(monkeypatch, deciding, reaper)


def command(found: Waiting, decision: str = "once", place: int = 0, **fields: Any) -> ToolDecide:
    return ToolDecide(run_id=found.id, call_id=found.calls[place], decision=decision, **fields)  # type: ignore[arg-type]  # any


def decide(user: User, found: Waiting, decision: str = "once", place: int = 0, **fields: Any) -> None:
    decide_call(user.pk, command(found, decision, place, **fields))


def join(user: User, found: Waiting, role: str = "editor") -> None:
    Member.objects.create(conversation_id=found.run.conversation_id, user=user, role=role)


def make_late(found: Waiting) -> None:
    ToolCall.objects.filter(pk__in=found.calls).update(expires_at=F("expires_at") - timedelta(hours=72, seconds=1))
