"""At most five pages are read for one answer, also where the model asks for more at once."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from accounts.models import User
from chat.models import CallStatus, Run, Step, ToolCall
from tests.fixtures.run_rows import row, say
from workers.tools.base import ToolContext
from workers.tools.own.read_page import MAX_PAGES, count_pages

pytestmark = pytest.mark.usefixtures("clean_redis", "db", "one_model")


def test_pages_of_an_answer_are_counted(alice: User) -> None:
    run, other = row(say(alice).run_id), row(say(alice).run_id)

    def call(place: int, status: str, name: str = "read_page", of: Run = run, server: str = "") -> ToolCall:
        step, _ = Step.objects.get_or_create(run=of, number=1, defaults={"attempt": 1, "kind": "tool"})
        ended = None if status == CallStatus.RUNNING else timezone.now()
        return ToolCall.objects.create(
            run=of, model_step=step, step=step, place=place, upstream_id="c", name=name, status=status, server=server,
            ended_at=ended,
        )  # fmt: skip

    def counted(call_id: uuid.UUID) -> int:
        return count_pages(ToolContext(alice.pk, run.conversation_id, run.pk, call_id, 0.0))

    for place, (name, status, server) in enumerate(
        [("read_page", "error", ""), ("read_page", "denied", ""), ("search_web", "ok", ""), ("read_page", "ok", "web")]
    ):
        call(place, status, name, server=server)
    call(0, "ok", of=other)
    at_once = [call(10 + place, CallStatus.RUNNING) for place in range(8)]
    assert sum(counted(one.pk) < MAX_PAGES for one in at_once) == 5
    ToolCall.objects.filter(pk__in=[one.pk for one in at_once[:5]]).update(status="ok", ended_at=timezone.now())
    assert not any(counted(one.pk) < MAX_PAGES for one in at_once[5:])
