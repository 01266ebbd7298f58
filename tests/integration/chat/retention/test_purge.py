"""What has had its time goes, and nothing else does: by plan, under interruption, beside people at work."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from accounts.auth.revocation import user_group
from accounts.lib.db import in_db
from accounts.models import Plan, Session, User
from chat.eventlog import store
from chat.models import Conversation, Member, Message, QueuedState, Recording, RecordingStatus, Role, Run, Utterance
from chat.retention import purge as purge_module
from tests.fixtures.waiting_rows import waiting
from tests.integration.config.ops.operating import conversation, days_ago, run
from tests.stack import ROOT, Stack

Live = Callable[..., Stack]
NOTHING = dict.fromkeys((kind.name for kind in purge_module.KINDS), 0)


def purge(*options: str) -> dict[str, int]:
    out = io.StringIO()
    call_command("purge", "--json", *options, stdout=out)
    found: dict[str, int] = json.loads(out.getvalue())
    return found


def aged(owner: User, days: float, title: str, **fields: Any) -> Conversation:
    """A conversation last touched so long ago."""
    made = conversation(owner, title, "answer", title=title)
    Conversation.objects.filter(pk=made.pk).update(updated_at=days_ago(days), created_at=days_ago(days), **fields)
    return made


def titles() -> set[str]:
    return set(Conversation.objects.values_list("title", flat=True))


def give(user: User, **periods: int | None) -> None:
    user.plan = Plan.objects.create(name=f"{user.name} {periods}", **periods)
    user.save()


def test_each_reason_takes_its_own_and_nothing_else(alice: User, clean_redis: str) -> None:
    give(alice, retention_days=100, trash_days=None, temporary_hours=None)
    aged(alice, 40, "deleted long ago", deleted_at=days_ago(31))
    aged(alice, 40, "deleted long ago, once pinned", deleted_at=days_ago(31), pinned_at=days_ago(50))
    aged(alice, 40, "deleted of late", deleted_at=days_ago(29))
    aged(alice, 25 / 24, "temporary, over", temporary=True)
    aged(alice, 23 / 24, "temporary, not yet", temporary=True)
    aged(alice, 101, "old")
    aged(alice, 101, "old, deleted of late", deleted_at=days_ago(1))
    aged(alice, 101, "old and pinned", pinned_at=days_ago(200))
    aged(alice, 99, "not so old")
    for hash_, days in (("a" * 32, -1), ("b" * 32, 1)):
        Session.objects.create(session_key=hash_, hash=hash_, user=alice, session_data="", expire_date=days_ago(-days))
    for days in (31, 1):
        heard = Recording.objects.create(
            user=alice, client_id=uuid.uuid4(), language="en", mode="dictate",
            status=RecordingStatus.DONE, created_at=days_ago(days),
        )  # fmt: skip
        Utterance.objects.create(recording=heard, number=1, text="hello", start_ms=0, end_ms=1)
    kept = Conversation.objects.get(title="not so old")
    waiting(alice, kept)
    for days in (200, 1):
        waiting(alice, kept, "", state=QueuedState.REMOVED, changed_at=days_ago(days))
    before = titles()
    expected = NOTHING | {"trash": 2, "temporary": 1, "age": 2, "sessions": 1, "queued": 1, "recordings": 1}
    assert purge("--dry-run") == expected
    assert titles() == before, "a dry run deletes nothing"
    assert purge() == expected
    assert titles() == {"deleted of late", "temporary, not yet", "old and pinned", "not so old"}
    assert Message.objects.count() == 8
    assert list(Session.objects.values_list("hash", flat=True)) == ["b" * 32]
    assert Recording.objects.count() == Utterance.objects.count() == 1
    assert purge() == NOTHING


def test_the_owners_plan_decides_and_of_several_the_kindest(alice: User, bob: User, mallory: User) -> None:
    give(alice, retention_days=10, trash_days=5, temporary_hours=1)
    give(bob, retention_days=None, trash_days=60, temporary_hours=48)
    Plan.objects.filter(is_default=True).update(retention_days=20)

    def make(title: str, days: float, others: dict[str, User], owner: User = alice, **fields: Any) -> None:
        made = aged(owner, days, title, **fields)
        for role, user in others.items():
            Member.objects.create(conversation=made, user=user, role=role)

    make("alone", 11, {})
    make("with an editor who keeps all", 11, {Role.EDITOR: bob})
    make("with an owner who keeps all", 11, {Role.OWNER: bob})
    make("trash of both", 0, {Role.OWNER: bob}, deleted_at=days_ago(31))
    make("trash of one", 0, {Role.EDITOR: bob}, deleted_at=days_ago(6))
    make("temporary of both", 2 / 24, {Role.OWNER: bob}, temporary=True)
    make("temporary of one", 2 / 24, {}, temporary=True)
    make("of the default plan, old", 21, {}, owner=mallory)
    make("of the default plan, not old", 19, {}, owner=mallory)
    make("nobody's", 1000, {})
    make("nobody's trash", 1000, {}, deleted_at=days_ago(31))
    Member.objects.filter(conversation__title__startswith="nobody's").delete()
    assert purge() == {**NOTHING, "trash": 2, "temporary": 1, "age": 3}
    assert titles() == {
        "with an owner who keeps all", "trash of both", "temporary of both", "of the default plan, not old", "nobody's",
    }  # fmt: skip


def test_without_any_plan_the_settings_hold(alice: User, settings: Any) -> None:
    settings.KEEP_DELETED_DAYS, settings.TEMPORARY_HOURS = 0, 2
    aged(alice, 10_000, "kept for ever")
    aged(alice, 0, "deleted", deleted_at=days_ago(0))
    aged(alice, 3 / 24, "temporary", temporary=True)
    assert purge() == {**NOTHING, "trash": 1, "temporary": 1}
    assert titles() == {"kept for ever"}


@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_answer_under_way_keeps_its_conversation(alice: User, status: str) -> None:
    give(alice, retention_days=1)
    made = aged(alice, 2, "answering")
    question, answer = Message.objects.filter(conversation=made).order_by("created_at")
    lease = {"lease_expires_at": days_ago(-1), "attempt": 1} if status == "running" else {}
    Run.objects.create(conversation=made, prompt=question, message=answer, model="m", status=status, **lease)
    assert purge("--dry-run") == purge() == NOTHING
    Run.objects.update(status="done", finished_at=days_ago(0))
    assert purge() == {**NOTHING, "age": 1}


def test_the_clock_is_the_databases(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    give(alice, retention_days=100)
    aged(alice, 50, "kept")
    monkeypatch.setattr("django.utils.timezone.now", lambda: days_ago_of(real_now(), -365))
    assert purge() == NOTHING


def real_now() -> Any:
    import datetime

    return datetime.datetime.now(datetime.UTC)


def days_ago_of(moment: Any, days: float) -> Any:
    import datetime

    return moment - datetime.timedelta(days=days)


def test_an_interrupted_purge_goes_on(alice: User, clean_redis: str) -> None:
    for _ in range(25):
        conversation(alice, "old")
    Conversation.objects.update(deleted_at=days_ago(40))
    progress = purge_module.purge()
    assert next(progress) == purge_module.Progress("trash", 10, 25)
    progress.close()
    assert Conversation.objects.count() == 15
    assert purge()["trash"] == 15


async def test_open_tabs_hear_that_it_is_gone(transactional_db: None, clean_redis: str, alice: User) -> None:
    def make() -> Conversation:
        give(alice, retention_days=1)
        return aged(alice, 2, "open in a tab")

    made = await in_db(make)
    layer = store.channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(user_group(alice.pk), channel)
    assert (await in_db(purge))["age"] == 1
    async with asyncio.timeout(5):
        frame = json.loads((await layer.receive(channel))["frame"])
    assert (frame["type"], frame["conversation_id"], frame["deleted"]) == ("conversation.listed", str(made.pk), True)


INSERT = "INSERT INTO chat_conversation (id, title, model, system_prompt, created_at, updated_at, deleted_at)"


@pytest.mark.timeout(120)
def test_purge_passes_over_what_somebody_holds_and_asks_again(live: Live) -> None:
    """Beside a person who brings one back: not committed yet, then committed while the purge looks."""
    stack = live(web=0, workers=0)
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for one in ids:
        stack.sql(f"{INSERT} VALUES (%s, '', '', '', now(), now(), now() - interval '40 days')", one)
    with psycopg.connect(stack.env["DATABASE_URL"]) as holder:
        holder.execute("UPDATE chat_conversation SET deleted_at = NULL WHERE id = %s", [ids[1]])
        code, text = run(stack, "purge", "--json")
        assert code == 0, text
        assert json.loads(text)["trash"] == 2
        holder.commit()
    assert [str(row["id"]) for row in stack.sql("SELECT id FROM chat_conversation")] == [ids[1]]


@pytest.mark.timeout(120)
def test_killed_between_batches_it_leaves_whole_conversations_and_goes_on(live: Live) -> None:
    stack = live(web=0, workers=0)
    make = (
        f"WITH made AS ({INSERT}"  # noqa: S608 -- a constant
        " SELECT gen_random_uuid(), 'c', '', '', now(), now(), now() - interval '40 days'"
        " FROM generate_series(1, 400) RETURNING id)"
        " INSERT INTO chat_message (id, conversation_id, role, text, html, status, created_at)"
        " SELECT gen_random_uuid(), id, 'user', 'x', '', 'complete', now() FROM made, generate_series(1, 3)"
    )
    stack.sql(make)

    def left() -> dict[str, int]:
        [row] = stack.sql(
            "SELECT count(*) AS conversations, coalesce(sum(m), 0)::int AS messages FROM (SELECT c.id,"
            " (SELECT count(*) FROM chat_message WHERE conversation_id = c.id) AS m FROM chat_conversation c) AS t"
        )
        return row

    terminal, its_side = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "manage.py", "purge"], cwd=ROOT, env=stack.env, stdout=its_side, stderr=its_side
    )
    os.close(its_side)
    try:
        deadline = time.monotonic() + 40
        while (now := left())["conversations"] > 380:
            assert time.monotonic() < deadline
            assert running.poll() is None
    finally:
        running.kill()
        running.wait()
    assert b"trash  [" in os.read(terminal, 100_000), "a bar, on a terminal"
    os.close(terminal)
    now = left()
    assert 0 < now["conversations"] < 400
    assert now["messages"] == 3 * now["conversations"], "each is there whole, or not at all"
    code, text = run(stack, "purge", "--json")
    assert (code, json.loads(text)["trash"]) == (0, now["conversations"])
    assert left() == {"conversations": 0, "messages": 0}
