"""Who is told that an answer has ended, or that somebody wrote: in lists, and by browser notifications."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Conversation, Member, Message, Role, Run
from chat.notifications import marks, notify
from chat.notifications.ended import announce_ended
from chat.notifications.notify import Kind, News
from chat.notifications.turns import announce_soon
from tests.fakes.push_service import PushBrowser
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.notified import make_device

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("layer")]
ENDPOINT = "https://fcm.googleapis.com/fcm/send/x"


@pytest.fixture
async def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The jobs of notifications: kind and users."""
    sent: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(notify, "_enqueue", lambda one, users: sent.append((one.kind.value, users)))
    return sent


@pytest.fixture
async def frames(monkeypatch: pytest.MonkeyPatch) -> dict[uuid.UUID, list[dict[str, Any]]]:
    """The notices to users' sockets."""
    sent: dict[uuid.UUID, list[dict[str, Any]]] = {}

    async def note(user_id: uuid.UUID, frame: dict[str, Any]) -> None:
        sent.setdefault(user_id, []).append(frame)

    monkeypatch.setattr(marks, "notify_user", note)
    return sent


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """Alice's; Bob, who has a notified device, is an editor. Nobody has read anything."""
    conversation = make_conversation(alice)
    Member.objects.create(conversation=conversation, user=bob, role=Role.EDITOR)
    Member.objects.update(seen_until=timezone.now() - timedelta(days=1))
    make_device(bob, PushBrowser(), ENDPOINT)
    return conversation


def make_run(conversation: Conversation, asked_by: User, status: str = "done", **fields: Any) -> Run:
    prompt, answer = Message.objects.filter(conversation=conversation).order_by("created_at")
    fields = {"requested_by": asked_by, "model": "m", "status": status, "finished_at": timezone.now(), **fields}
    return Run.objects.create(conversation=conversation, prompt=prompt, message=answer, **fields)


@pytest.mark.parametrize(
    ("status", "kind"), [("done", "answered"), ("failed", "failed"), ("interrupted", "failed"), ("stopped", None)]
)
async def test_who_asked_is_told_of_the_end(
    shared: Conversation, bob: User, jobs: list[Any], frames: dict[Any, Any], status: str, kind: str | None
) -> None:
    run = await in_db(make_run, shared, bob, status)
    await announce_ended([run.pk])
    assert jobs == ([(kind, [str(bob.pk)])] if kind else [])
    assert [frame["count"] for frame in frames[bob.pk]] == [2]
    assert {user: len(told) for user, told in frames.items()} == dict.fromkeys(frames, 1)
    assert len(frames) == 2


async def test_not_of_what_somebody_else_asked_or_talked_over(
    shared: Conversation, alice: User, bob: User, jobs: list[Any], frames: dict[Any, Any]
) -> None:
    run = await in_db(make_run, shared, alice)  # who has no device
    await announce_ended([run.pk])
    await Run.objects.aupdate(requested_by=bob, heard_chars=3)
    await announce_ended([run.pk])
    assert jobs == []


async def test_not_where_it_is_switched_off(
    shared: Conversation, bob: User, jobs: list[Any], frames: dict[Any, Any], settings: Any
) -> None:
    settings.PUSH_HOSTS = []
    run = await in_db(make_run, shared, bob)
    await announce_ended([run.pk])
    await notify.notify(bob.pk, Kind.MENTIONED, shared.pk)
    assert jobs == []
    assert bob.pk in frames, "lists are told all the same"


async def test_the_others_are_told_of_a_message(
    shared: Conversation, alice: User, bob: User, mallory: User, jobs: list[Any], frames: dict[Any, Any]
) -> None:
    await Member.objects.acreate(conversation=shared, user=mallory, role=Role.VIEWER)
    question = await Message.objects.aget(conversation=shared, role="user")
    await announce_soon(shared.pk, question.pk, [bob.pk, mallory.pk])
    assert jobs == [("wrote", [str(bob.pk)])], "Mallory has no device"
    assert set(frames) == {alice.pk, bob.pk, mallory.pk}


async def test_without_a_broker_nothing_fails(shared: Conversation, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise BrokerAway

    monkeypatch.setattr(current_app, "send_task", away)
    await notify.notify_all([News(Kind.ADDED, shared.pk, None, (bob.pk,))])


def test_a_mark_of_older_rows_has_a_smaller_version(shared: Conversation, alice: User) -> None:
    lease = timezone.now() + timedelta(minutes=1)
    run = make_run(shared, alice, "running", lease_expires_at=lease, attempt=1, finished_at=None)
    versions = []
    other = connection.copy()
    try:
        with atomic_of(other) as cursor:
            cursor.execute("UPDATE chat_run SET status = 'done', finished_at = now() WHERE id = %s", [run.pk])
            running = marks.read_marks([shared.pk], alice.pk)[shared.pk, alice.pk]
            assert running.running
            versions.append(running.version)
        done = marks.read_marks([shared.pk], alice.pk)[shared.pk, alice.pk]
        assert not done.running
        versions.append(done.version)
        with atomic_of(other) as cursor:
            cursor.execute("UPDATE chat_run SET model = 'other' WHERE id = %s", [run.pk])
        versions.append(marks.read_marks([shared.pk], alice.pk)[shared.pk, alice.pk].version)
    finally:
        other.close()
    assert versions == sorted(set(versions))
    assert 0 < versions[-1] < 2**53, "a number that a browser keeps exactly"


@contextmanager
def atomic_of(other: BaseDatabaseWrapper) -> Iterator[CursorWrapper]:
    """A transaction of another connection, committed at the end."""
    other.set_autocommit(False)
    with other.cursor() as cursor:
        yield cursor
    other.commit()
    other.set_autocommit(True)
