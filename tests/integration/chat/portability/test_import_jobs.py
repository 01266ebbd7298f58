"""Imports in the background: claims, progress, what is refused, cancelling and undoing."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import timedelta
from typing import Any

import django.db
import pytest
from celery import current_app
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.auth.revocation import user_group
from accounts.lib.db import in_db
from accounts.models import User
from chat.eventlog.store import channel_layer
from chat.models import Conversation, ImportedConversation, ImportJob, Member, TransferState
from chat.portability import import_jobs, transfers
from chat.portability.import_file import read_file
from chat.portability.import_jobs import Undone, cancel_import, create_import, run_import, undo_import
from chat.portability.importer import import_conversations
from chat.protocol.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited, TooLarge
from tests.integration.chat.portability.imports import archive, chatgpt, node

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def many(count: int, start: int = 0) -> list[Any]:
    return [chatgpt(node("q", None, "user", f"Q{n}"), name=f"c-{n}") for n in range(start, start + count)]


def upload(data: Any, name: str = "chatgpt.json") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, json.dumps(data).encode())


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda task, args, **_: sent.append(args[0]))
    return sent


def imported(user: User, data: Any) -> ImportJob:
    job = create_import(user, upload(data))
    run_import(job.pk)
    job.refresh_from_db()
    return job


def test_only_what_is_new_comes_with_a_report(alice: User, published: list[str]) -> None:
    job = create_import(alice, upload([*many(3), None, {"mapping": []}], "a\x00b.json"))
    assert published == [str(job.pk)]
    assert default_storage.exists(str(job.file))
    run_import(job.pk)
    stored = str(job.file)
    job.refresh_from_db()
    assert (job.state, job.total, job.done, job.new, job.known, job.refused) == ("done", 5, 5, 3, 0, 2)
    assert [place for place, _reason in job.report] == [f"ab.json, conversation {n}" for n in (4, 5)]
    assert not default_storage.exists(stored)
    assert job.file == ""
    again = imported(alice, many(4))
    assert (again.new, again.known, again.refused) == (1, 3, 0)
    assert Member.objects.filter(user=alice).count() == 4
    run_import(job.pk)  # a second delivery
    assert Member.objects.filter(user=alice).count() == 4


def test_what_cannot_be_read_says_why(alice: User) -> None:
    job = imported(alice, {"a": 1})
    assert (job.state, job.error) == (
        "failed", "chatgpt.json is not an export from Antiphon, ChatGPT, Claude, Open WebUI or LibreChat.",
    )  # fmt: skip
    bomb = create_import(alice, SimpleUploadedFile("b.zip", archive(("conversations.json", b" " * 2**22)).getvalue()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_jobs, "read_file", lambda file, **_: read_file(file, max_bytes=2**20))
        run_import(bomb.pk)
    bomb.refresh_from_db()
    assert (bomb.state, bomb.error) == ("failed", "conversations.json unpacks to more than 1 MB.")


def test_limits(alice: User, bob: User, settings: Any) -> None:
    settings.IMPORT_CONVERSATIONS = 2
    assert imported(alice, many(3)).error == "The file has 3 conversations. At most 2 can be imported at once."
    settings.IMPORT_MAX_MB = 1
    with pytest.raises(TooLarge, match="2 MB; at most 1 MB"):
        create_import(alice, SimpleUploadedFile("x.json", b" " * (2**20 + 1)))
    with pytest.raises(Invalid, match="not empty"):
        create_import(alice, SimpleUploadedFile("x.json", b""))
    create_import(alice, upload(many(1)))
    with pytest.raises(Conflict, match="still in progress"):
        create_import(alice, upload(many(1)))
    create_import(bob, upload(many(1)))
    settings.RATE_IMPORTS = "1/d"
    ImportJob.objects.update(state=TransferState.DONE)
    with pytest.raises(RateLimited):
        create_import(alice, upload(many(1)))
    settings.IMPORT_MAX_MB = 0
    with pytest.raises(Forbidden):
        create_import(bob, upload(many(1)))
    bob.suspended_until = timezone.now() + timedelta(days=1)
    settings.IMPORT_MAX_MB = 1
    with pytest.raises(Forbidden, match="suspended"):
        create_import(bob, upload(many(1)))


def test_two_uploads_at_the_same_moment(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    create_import(alice, upload(many(1)))
    monkeypatch.setattr(import_jobs, "check_import", lambda *_: None)  # the other's row was not there yet
    kept = len(default_storage.listdir("imports")[0])
    with pytest.raises(Conflict):
        create_import(alice, upload(many(1)))
    assert sum(len(default_storage.listdir(f"imports/{one}")[1]) for one in default_storage.listdir("imports")[0]) >= 1
    assert ImportJob.objects.count() == 1
    assert kept


def test_cancelling(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a worker has it, and while one is at it: what it has made stays."""
    waiting = create_import(alice, upload(many(1)))
    with pytest.raises(NotFound):
        cancel_import(bob.pk, waiting.pk)
    cancel_import(alice.pk, waiting.pk)
    run_import(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.state, Conversation.objects.count()) == ("cancelled", 0)

    monkeypatch.setattr(import_jobs, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr("chat.portability.importer.BATCH", 2)
    job = create_import(alice, upload(many(6)))
    beat = transfers.beat

    def cancel_after_the_first(one: Any, **fields: Any) -> None:
        beat(one, **fields)
        if fields.get("done") == 1:
            cancel_import(alice.pk, job.pk)

    monkeypatch.setattr(transfers, "beat", cancel_after_the_first)
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.done, job.new) == ("cancelled", 1, 1)
    assert Conversation.objects.count() == 2  # its batch was saved
    assert undo_import(alice.pk, job.pk) == Undone(2)


def test_a_lost_worker_s_import_goes_on(alice: User, published: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lost worker has made counts as new, and what it still writes counts no more."""
    job = create_import(alice, upload(many(4)))
    lost = transfers.claim(ImportJob, job.pk)
    assert lost is not None
    list(import_conversations(alice, read_file(io.BytesIO(json.dumps(many(2)).encode())), job=job))
    assert transfers.claim(ImportJob, job.pk) is None, "its worker lives"
    assert transfers.publish_waiting() == 0
    ImportJob.objects.update(beat_at=timezone.now() - timedelta(seconds=transfers.LOST_SECONDS + 1))
    published.clear()
    assert transfers.publish_waiting() == 1
    assert published == [str(job.pk)]
    run_import(job.pk)
    with pytest.raises(transfers.ClaimLostError):
        transfers.beat(lost, done=1)
    job.refresh_from_db()
    assert (job.state, job.new, job.known) == ("done", 4, 0)
    assert ImportedConversation.objects.filter(job=job).count() == 4


def test_a_worker_that_ends_gives_it_back(alice: User, published: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "BEAT_SECONDS", 0.0)
    job = create_import(alice, upload(many(3)))
    run_import(job.pk, lambda: True)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 0)
    assert published == [str(job.pk)] * 2
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.done) == ("done", 3)


def test_what_is_interrupted_for_ever_fails(alice: User) -> None:
    job = create_import(alice, upload(many(1)))
    ImportJob.objects.update(attempt=transfers.MAX_ATTEMPTS, beat_at=timezone.now() - timedelta(hours=1))
    assert transfers.publish_waiting() == 0
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", transfers.FAILED_TOO_OFTEN)


def test_an_unexpected_error_ends_it_at_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fail again, and meanwhile nothing else of this user could be imported. An outage is over some time."""
    raised: list[Exception] = [django.db.OperationalError("away"), KeyError("id")]

    def fail(*_: Any, **__: Any) -> Any:
        raise raised.pop(0)

    monkeypatch.setattr(import_jobs, "import_conversations", fail)
    job = create_import(alice, upload(many(1)))
    with pytest.raises(django.db.OperationalError):
        run_import(job.pk)
    ImportJob.objects.update(beat_at=timezone.now() - timedelta(seconds=transfers.LOST_SECONDS + 1))
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error, str(job.file)) == ("failed", transfers.UNEXPECTED, "")
    monkeypatch.undo()
    with monkeypatch.context() as patch:
        patch.setattr(current_app, "send_task", lambda *_, **__: None)
        assert imported(alice, many(1)).state == "done"


def test_undoing_moves_what_it_made_to_the_trash(alice: User, bob: User) -> None:
    earlier = imported(alice, many(1))
    job = imported(alice, many(3))
    assert (job.new, job.known) == (2, 1)
    with pytest.raises(NotFound):
        undo_import(bob.pk, job.pk)
    assert undo_import(alice.pk, job.pk) == Undone(2)
    job.refresh_from_db()
    assert job.state == TransferState.UNDONE
    assert Conversation.objects.filter(deleted_at=None).count() == earlier.new
    assert undo_import(alice.pk, job.pk) == Undone(0)
    again = imported(alice, many(3))
    assert (again.new, again.known, again.trashed) == (0, 3, 2)


def test_erasing_and_purging_take_the_files(alice: User) -> None:
    job = create_import(alice, upload(many(1)))
    assert default_storage.exists(str(job.file))
    alice.delete()
    assert not default_storage.exists(str(job.file))


async def test_open_pages_hear_how_far_it_is(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "BEAT_SECONDS", 0.0)
    layer = channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(user_group(alice.pk), channel)
    job = await in_db(imported, alice, many(3))
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not frames or frames[-1]["state"] == "running":
            frame = json.loads((await layer.receive(channel))["frame"])
            frames += [frame] if frame["type"] == "transfer" else []
    assert frames[0] == {
        "type": "transfer", "id": str(job.pk), "kind": "import", "state": "running", "done": 0, "total": 3,
    }  # fmt: skip
    assert [one["done"] for one in frames if one["state"] == "running"] == [0, 1, 2, 3]
    assert (frames[-1]["state"], frames[-1]["done"], frames[-1]["total"]) == ("done", 3, 3)
