"""The closing events of a run with steps: readers have every call before its result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from chat.models import RunStatus, ToolCall
from chat.runs.ending import Ended, Ending, end_run
from tests.fixtures.tool_rows import OWNER, TEXT, with_calls

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "one_model")]


def noticed(ended: Ended | None) -> list[tuple[Any, ...]]:
    assert ended is not None
    made = [json.loads(body) for body, _ in ended.notices]
    return [(one["type"], one.get("call_id") or one.get("kind"), one.get("status")) for one in made]


def test_calls_that_nobody_was_told_of_come_before_their_results(alice: User) -> None:
    """The worker is stopped between the commit of a step and its events."""
    made = with_calls(alice, 2)
    ended = end_run(made.id, 1, RunStatus.STOPPED, Ending(TEXT), owner=OWNER)
    first, second = map(str, made.calls)
    assert noticed(ended) == [
        ("run.step", "model", "done"),
        ("tool.call", first, None),
        ("tool.call", second, None),
        ("tool.result", first, "cancelled"),
        ("tool.result", second, "cancelled"),
        ("run.step", "tool", "cancelled"),
    ]


def test_what_has_its_result_does_not_come_again(alice: User) -> None:
    made = with_calls(alice, 2)
    ToolCall.objects.filter(pk=made.calls[0]).update(status="ok", output="found", ended_at=timezone.now())
    ended = end_run(made.id, 1, RunStatus.STOPPED, Ending(TEXT), owner=OWNER)
    assert [one[1] for one in noticed(ended) if one[0].startswith("tool.")] == [str(made.calls[1])] * 2
