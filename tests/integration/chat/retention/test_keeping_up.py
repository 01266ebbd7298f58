"""The purge keeps up: large batches, a fair share for each kind, and figures of what is left."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Session, User
from chat.models import (
    Attachment,
    Conversation,
    File,
    Member,
    Message,
    PeriodicJob,
    Reasoning,
    Recording,
    RecordingStatus,
    Run,
    Submission,
    Summary,
    Utterance,
)
from chat.retention import purge
from chat.retention.cascade import delete_rows
from config.ops.diagnosis import Level, examine
from tests.fixtures.attached import stored
from tests.integration.config.ops.operating import conversation, days_ago
from workers.runtime import maintenance

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


def in_trash(owner: User, count: int, days: float = 40) -> None:
    made = Conversation.objects.bulk_create([Conversation(deleted_at=days_ago(days)) for _ in range(count)])
    Member.objects.bulk_create([Member(conversation=one, user=owner, role="owner") for one in made])
    Message.objects.bulk_create([Message(conversation=one, role="user", text="x") for one in made for _ in range(2)])


def test_queries_do_not_grow_with_the_conversations(alice: User) -> None:
    """Before, each ten conversations took some sixty queries and read what they deleted."""
    in_trash(alice, 400)
    with count_queries() as few:
        list(purge.purge())
    assert not Conversation.objects.exists()
    in_trash(alice, 1200)
    with count_queries() as many:
        list(purge.purge())
    assert not Message.objects.exists()
    assert (many.count - few.count) / 800 < 1


class count_queries:  # noqa: N801 -- reads as a function
    count = 0

    def __enter__(self) -> count_queries:
        self._wrapper = connection.execute_wrapper(self._count)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._wrapper.__exit__(*error)

    def _count(self, execute: Any, *call: Any) -> Any:
        self.count += 1
        return execute(*call)


def test_the_batches_follow_what_depends_on_the_rows(alice: User) -> None:
    in_trash(alice, 300)
    assert [one.done for one in itertools.islice(purge.purge(), 3)] == [10, 50, 175], "up to 500 rows of all tables"
    Conversation.objects.all().delete()
    large = conversation(alice)
    Conversation.objects.filter(pk=large.pk).update(deleted_at=days_ago(41))
    Message.objects.bulk_create([Message(conversation=large, role="user", text="x") for _ in range(1500)])
    in_trash(alice, 100)
    steps = [one.done for one in purge.purge()]
    assert steps[-1] == 101
    assert not Message.objects.exists()


def test_each_kind_has_its_turn(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog of conversations does not keep expired sessions and records waiting for hours."""
    monkeypatch.setattr(purge, "TURN_SECONDS", 0.0)  # a batch of each in turn
    in_trash(alice, 100)
    Session.objects.create(session_key="a" * 32, hash="a" * 32, user=alice, session_data="", expire_date=days_ago(1))
    seen = [one.kind for one in purge.purge()]
    assert seen.index("sessions") < len(seen) - 1 - seen[::-1].index("trash"), "not after the last conversation"


def test_everything_below_a_conversation_goes_and_nothing_beside_it(alice: User, media: Any) -> None:
    gone, kept = conversation(alice, "question", "answer"), conversation(alice, "question", "answer")
    for one in (gone, kept):
        question, answer = Message.objects.filter(conversation=one).order_by("created_at")
        ended = {"status": "done", "finished_at": timezone.now(), "attempt": 1}
        run = Run.objects.create(conversation=one, prompt=question, message=answer, model="m", **ended)
        Reasoning.objects.create(run=run, text="thought")
        Summary.objects.create(conversation=one, last=answer, text="short", messages=2, model="m")
        file = stored(alice)
        File.objects.filter(pk=file.pk).update(conversation=one)
        Attachment.objects.create(message=question, file=file, position=0)
        heard = Recording.objects.create(
            user=alice, client_id=uuid.uuid4(), language="en", mode="dictate", status=RecordingStatus.DONE,
            conversation=one,
        )  # fmt: skip
        Utterance.objects.create(recording=heard, number=1, text="hello", start_ms=0, end_ms=1, message=question)
    tables = (Message, Run, Reasoning, Summary, Attachment, File, Recording, Utterance, Member)
    before = {model: model._default_manager.count() for model in tables}
    with transaction.atomic():
        assert delete_rows(Conversation, [gone.pk]) > len(tables)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no row refers to one that is gone
    assert {model: model._default_manager.count() for model in tables} == {
        model: number // 2 for model, number in before.items()
    }
    assert Conversation.objects.get() == kept


def test_what_is_left_is_said_by_the_report_the_doctor_and_the_figures(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_trash(alice, 30, days=33)
    Submission.objects.all().delete()
    found = purge.backlog()["trash"]
    assert (found.rows, found.overdue_seconds) == (30, 72 * 3600), "three days at least"
    [finding] = examine(["maintenance"])
    assert (finding.level, "30 trash" in finding.said) == (Level.WARN, True)
    monkeypatch.setattr("chat.retention.purge.purge", lambda: iter(()))  # as when it has no time
    maintenance._purge()
    assert PeriodicJob.objects.get(name="purge").report["left"]["trash"]["rows"] == 30
    from config.web.metrics import _purge_gauges

    gauges = _purge_gauges()
    assert gauges["purge_backlog"] == {"trash": 30.0}
    assert gauges["purge_overdue_seconds"] == 72 * 3600
    monkeypatch.undo()
    maintenance._purge()
    assert purge.backlog() == {}
    [finding] = examine(["maintenance"])
    assert finding.level is Level.OK
    assert _purge_gauges()["purge_overdue_seconds"] == 0.0


def test_an_old_purge_is_late(alice: User) -> None:
    PeriodicJob.objects.create(name="purge", ended_at=timezone.now() - timedelta(hours=4))
    [finding] = examine(["maintenance"])
    assert finding.level is Level.WARN
    assert "beat" in finding.advice
