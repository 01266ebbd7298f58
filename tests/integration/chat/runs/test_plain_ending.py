"""The end of a plain answer in one round trip: it writes what `end_run` writes, or nothing."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import DailyUsage, Unit, UsageEntry, User
from chat.eventlog.events import Event
from chat.models import Message, Reasoning, Run, RunStatus
from chat.runs.claims import Claim, claim
from chat.runs.ending import Ended, Ending, end_run
from chat.runs.plain_ending import end_plain_run
from tests.fixtures.quota_rows import give, price, standing, tokens
from tests.fixtures.run_rows import row, say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]

OWN = (
    "id",
    "conversation_id",
    "prompt_id",
    "message_id",
    "created_at",
    "started_at",
    "finished_at",
    "queued_ms",
    "enqueued_at",
)


@pytest.fixture(autouse=True, params=[True, False], ids=["prepared", "plain"])
def _prepared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedStatement, "enabled", request.param)


def begin(user: User, text: str = "Hello") -> Claim:
    claimed = claim(say(user, text).run_id, "worker")
    assert claimed is not None
    return claimed


def ending(**more: Any) -> Ending:
    text = more.pop("text", "It's 100 % “done”: \\ {x} ; SELECT")
    known = {"endpoint": "host:443", "finish": "stop", "rendered": {text: "<p>done</p>"}, "total_ms": 70}
    return tokens(10, 20, text, **{**known, "first_token_ms": 5, "parameters": {"sent": {"temperature": 0.5}}, **more})


def events_of(ended: Ended) -> list[Any]:
    def comparable(event: Event) -> Any:
        told = json.loads(event[0])
        told.get("timing", {}).pop("queued_ms", None)
        return {name: value for name, value in told.items() if not name.endswith("_id")}

    return [comparable(one) for one in [*ended.notices, ended.event]]


def rows_of(claimed: Claim) -> list[Any]:
    run = Run.objects.filter(pk=claimed.run.id).values().get()
    message = Message.objects.filter(pk=claimed.run.message_id).values("text", "html", "status").get()
    entry: dict[str, Any] = dict(UsageEntry.objects.filter(run_id=claimed.run.id).values().first() or {})
    thought = list(Reasoning.objects.filter(run=claimed.run.id).values_list("text", flat=True))
    own = {*OWN, "at", "run_id"}
    return [
        {name: value for name, value in run.items() if name not in own},
        message,
        {name: value for name, value in entry.items() if name not in own},
        thought,
    ]


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (RunStatus.DONE, {}),
        (RunStatus.DONE, {"reasoning": "Hm: ' % \\", "reasoning_ms": 30, "reasoning_tokens": 4}),
        (RunStatus.DONE, {"rendered": {}, "cached_tokens": 3, "usage_estimated": True, "context_window": 8000}),
        (RunStatus.DONE, {"reported_cost": Decimal("0.0125"), "parameters": None, "reasoning_ms": None}),
        (RunStatus.STOPPED, {"error_code": "unwatched", "error_message": "Nobody was there."}),
        (RunStatus.FAILED, {"text": "Half", "error_code": "upstream", "upstream_said": "no"}),
        (RunStatus.FAILED, {"text": "", "error_code": "upstream", "rendered": {}}),
        (RunStatus.INTERRUPTED, {"error_code": "worker_stopped"}),
    ],
)
def test_it_writes_what_the_long_way_writes(alice: User, status: RunStatus, more: dict[str, Any]) -> None:
    give(alice, 1000, Unit.OUTPUT_TOKENS)
    give(alice, 100, Unit.MESSAGES)
    made = []
    for number in range(2):
        claimed = begin(alice)
        if number:
            ended = end_plain_run(claimed.run, status, ending(**more), owner="worker")
        else:
            ended = end_run(claimed.run.id, 1, status, ending(**more), owner="worker", unread=False)
        assert ended is not None
        counted = {unit: (used / (number + 1), reserved) for unit, (used, reserved) in standing(alice).items()}
        day = DailyUsage.objects.filter(user=alice).values_list("output_tokens", flat=True).first() or 0
        made.append(
            [events_of(ended), rows_of(claimed), counted, day / (number + 1), ended.used, ended.cost, ended.silent]
        )
    assert made[0] == made[1]


def test_a_price_gives_the_cost(alice: User) -> None:
    claimed = begin(alice)
    price(timezone.now() - timedelta(days=1), "1000000", "2000000", model=claimed.run.model)
    ended = end_plain_run(claimed.run, RunStatus.DONE, ending(), owner="worker")
    assert ended is not None
    assert ended.cost == row(claimed.run.id).cost == Decimal(50)


@pytest.mark.parametrize(
    "change",
    [
        {"heard_chars": 3},
        {"step_count": 1},
        {"attempt": 2},
        {"lease_owner": "another"},
        {"status": "stopped", "finished_at": timezone.now()},
        {"part": 2},
        {"reasoning_chars": 5},
    ],
)
def test_another_run_is_left_to_the_long_way(alice: User, change: dict[str, Any]) -> None:
    give(alice, 100, Unit.MESSAGES)
    claimed = begin(alice)
    Run.objects.filter(pk=claimed.run.id).update(**change)
    before = rows_of(claimed), standing(alice)
    assert end_plain_run(claimed.run, RunStatus.DONE, ending(), owner="worker") is None
    assert (rows_of(claimed), standing(alice)) == before
    assert not UsageEntry.objects.filter(run_id=claimed.run.id).exists()


def test_it_ends_once(alice: User) -> None:
    claimed = begin(alice)
    assert end_plain_run(claimed.run, RunStatus.DONE, ending(), owner="worker") is not None
    assert end_plain_run(claimed.run, RunStatus.DONE, ending(text="Again"), owner="worker") is None
    assert Message.objects.get(pk=claimed.run.message_id).text.startswith("It's")
    assert UsageEntry.objects.filter(run_id=claimed.run.id).count() == 1


def test_a_failure_in_the_middle_leaves_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from chat.runs import plain_ending

    claimed = begin(alice)
    broken = PreparedStatement("SELECT %(run)s::text::int", {"run": "uuid"})
    monkeypatch.setattr(plain_ending, "_RUN", broken)
    with pytest.raises(Exception, match="invalid input syntax"):
        end_plain_run(claimed.run, RunStatus.DONE, ending(), owner="worker")
    assert row(claimed.run.id).status == RunStatus.RUNNING
    assert not UsageEntry.objects.filter(run_id=claimed.run.id).exists()
    assert Message.objects.get(pk=claimed.run.message_id).text == ""


def test_it_is_one_round_trip(alice: User) -> None:
    claimed = [begin(alice) for _ in range(5)]
    counts = []
    for one in claimed:
        with CaptureQueriesContext(connection) as queries:
            assert end_plain_run(one.run, RunStatus.DONE, ending(), owner="worker") is not None
        counts.append(len(queries))
    # The fewest: the first one prepares, and now and then one reads what is cached for seconds once more.
    assert min(counts) == 1


def test_a_pooler_that_knows_no_prepared_statements(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    claimed = begin(alice)
    assert end_plain_run(claimed.run, RunStatus.DONE, ending(), owner="worker") is not None
    assert row(claimed.run.id).status == RunStatus.DONE


def test_a_run_of_nobody(alice: User) -> None:
    claimed = begin(alice)
    Run.objects.filter(pk=claimed.run.id).update(requested_by=None)
    assert end_plain_run(claimed.run, RunStatus.DONE, ending(), owner="worker") is None
    assert row(claimed.run.id).status == RunStatus.RUNNING
    assert isinstance(claimed.run.user_id, uuid.UUID)
