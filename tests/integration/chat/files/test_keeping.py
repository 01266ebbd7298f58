"""How long files are kept, and where they go: quotas, purge, copies, exports, erasure."""

from __future__ import annotations

import io
import json
import threading
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Plan, User
from chat.conversations.copying import fork
from chat.files import contents, storage, uploads
from chat.models import (
    Attachment,
    Blob,
    Conversation,
    ExportJob,
    File,
    Member,
    Message,
    ModerationCase,
    QueuedMessage,
    Role,
    Upload,
)
from chat.portability.export_jobs import is_large, run_export
from chat.protocol.errors import QuotaExceeded, RateLimited, TooLarge
from chat.retention import purge
from chat.retention.erasure import erase
from tests.fixtures.attached import begin, in_storage, stored
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import say

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading"),
]  # fmt: skip
MIB = 1024 * 1024
LONG_AGO = timezone.now() - timedelta(days=100)


def purged() -> dict[str, int]:
    """What a purge deletes, by kind; only what concerns files."""
    done: dict[str, int] = {}
    for progress in purge.purge():
        done[progress.kind] = progress.done
    return {kind: count for kind, count in done.items() if kind in ("uploads", "files", "contents")}


def aside(do: Callable[[], Any]) -> Any:
    """What `do` returns on another connection to the database."""

    def call() -> Any:
        try:
            return do()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(20)


def waits_for_a_lock() -> bool:
    """Whether another connection to the database waits for this one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


class TestQuotas:
    def test_the_size_of_one_file(self, alice: User, settings: Any) -> None:
        settings.FILE_MAX_MB = 1
        uploads.create_upload(alice.pk, "a", MIB)
        with pytest.raises(TooLarge, match=r"at most 1\.0"):
            uploads.create_upload(alice.pk, "a", MIB + 1)
        Plan.objects.filter(is_default=True).update(file_mb=2)
        uploads.create_upload(alice.pk, "a", 2 * MIB)
        Plan.objects.filter(is_default=True).update(file_mb=0)
        with pytest.raises(TooLarge, match="on this site"):
            uploads.create_upload(alice.pk, "a", 1)

    def test_all_files_of_a_user_with_what_uploads_announced(self, alice: User, bob: User, settings: Any) -> None:
        settings.STORAGE_MB = 1
        uploads.create_upload(alice.pk, "a", MIB - 10)
        with pytest.raises(QuotaExceeded, match="Delete files"):
            uploads.create_upload(alice.pk, "b", 11)
        stored(alice, "b", b"0123456789")
        assert begin(logged_in(alice), "c", 1).status_code == 409
        uploads.create_upload(bob.pk, "c", MIB)
        Plan.objects.filter(is_default=True).update(storage_mb=2)
        uploads.create_upload(alice.pk, "c", MIB)

    def test_two_tabs_do_not_exceed_it_together(self, alice: User, settings: Any) -> None:
        settings.STORAGE_MB = 1
        refused: list[Exception] = []

        def one_tab() -> None:
            try:
                uploads.create_upload(alice.pk, "a", MIB)
            except QuotaExceeded as error:
                refused.append(error)
            finally:
                connection.close()

        tabs = [threading.Thread(target=one_tab) for _ in range(4)]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        assert (Upload.objects.count(), len(refused)) == (1, 3)

    def test_uploads_at_once(self, alice: User, settings: Any) -> None:
        settings.UPLOADS_PER_USER = 1
        uploads.create_upload(alice.pk, "a", 1)
        with pytest.raises(RateLimited, match="in progress"):
            uploads.create_upload(alice.pk, "b", 1)

    def test_names_are_screened(self, alice: User) -> None:
        add_rule("block", "badger", ("named",))
        add_rule("mask", "weasel", ("named",))
        refused = begin(logged_in(alice), "badger.txt", 1)
        assert (refused.status_code, refused.json()["code"]) == (400, "moderated")
        assert str(ModerationCase.objects.get(target="file").pk) == refused.json()["case_id"]
        assert "weasel" not in begin(logged_in(alice), "weasel.txt", 1).json()["name"]


class TestPurge:
    def test_what_is_not_needed_any_more_goes_with_its_bytes(self, alice: User, media: Path) -> None:
        kept = stored(alice, "kept.txt", b"kept")
        say(alice, attachments=[kept.pk], ask=False)
        fresh, old = stored(alice, "fresh.txt", b"fresh"), stored(alice, "old.txt", b"old")
        (media / old.blob.path).with_name("thumbnail-1.webp").write_bytes(b"x")  # what a worker made of it
        begun = uploads.create_upload(alice.pk, "half", 10)
        uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"12345"))
        uploads.create_upload(alice.pk, "new", 10)
        Upload.objects.filter(pk=begun.id).update(touched_at=LONG_AGO)
        File.objects.filter(pk__in=[kept.pk, old.pk]).update(created_at=LONG_AGO)
        assert purged() == {"uploads": 1, "files": 1, "contents": 1}
        assert in_storage(media) == {kept.blob.path, fresh.blob.path}
        assert purged() == {}

    def test_files_of_deleted_messages_go_with_their_earlier_texts(self, alice: User, settings: Any) -> None:
        file = stored(alice)
        say(alice, attachments=[file.pk], ask=False)
        File.objects.update(created_at=LONG_AGO)
        Message.objects.update(deleted_at=timezone.now())
        assert purged() == {}
        Message.objects.update(deleted_at=LONG_AGO)
        assert purged() == {"files": 1, "contents": 1}

    def test_a_message_in_a_waiting_line_keeps_its_files(self, alice: User) -> None:
        made = say(alice)
        file = stored(alice)
        QueuedMessage.objects.create(
            conversation_id=made.conversation_id, author=alice, client_id=uuid.uuid4(), fingerprint=b"x", text="x",
            position=1, command={"attachments": [str(file.pk)]},
        )  # fmt: skip
        File.objects.update(created_at=LONG_AGO)
        assert purged() == {}
        QueuedMessage.objects.update(state="removed")
        assert purged() == {"files": 1, "contents": 1}

    def test_a_conversation_that_is_deleted_takes_its_files(self, alice: User, media: Path) -> None:
        file = stored(alice)
        made = say(alice, attachments=[file.pk], ask=False)
        Conversation.objects.filter(pk=made.conversation_id).update(deleted_at=LONG_AGO)
        assert purged() == {"contents": 1}
        assert in_storage(media) == set()

    def test_never_a_content_that_a_file_is_being_made_of(self, alice: User, bob: User, media: Path) -> None:
        old = stored(alice)
        File.objects.all().delete()
        begun = uploads.create_upload(bob.pk, "same.txt", old.blob.size)
        uploads.receive_chunk(bob.pk, begun.id, 0, io.BytesIO(b"Crocodiles wait.\n"))
        taken = contents.take_in(begun.id, storage.pieces_of(Upload.objects.get().chunks), "same.txt", old.blob.size)
        with transaction.atomic():
            file = uploads._make_rows(Upload.objects.get(), taken)
            assert aside(purged) == {}
        assert file is not None
        assert default_storage.exists(Blob.objects.get().path)
        assert in_storage(media) == {Blob.objects.get().path}

    def test_an_upload_that_is_cancelled_while_it_is_finished_keeps_its_content(self, alice: User, media: Path) -> None:
        begun = uploads.create_upload(alice.pk, "a.txt", 5)
        uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"12345"))
        taken = contents.take_in(begun.id, storage.pieces_of(Upload.objects.get().chunks), "a.txt", 5)
        cancelling = threading.Thread(target=lambda: aside(lambda: uploads.cancel_upload(alice.pk, begun.id)))
        with transaction.atomic():
            assert uploads._make_rows(Upload.objects.get(), taken) is not None
            cancelling.start()
            while not waits_for_a_lock():
                cancelling.join(0.02)
        cancelling.join(20)
        assert in_storage(media) == {File.objects.get().blob.path}

    def test_a_file_that_comes_while_its_content_is_purged_is_stored_anew(
        self, alice: User, bob: User, media: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored(alice)
        File.objects.all().delete()
        keep_content = contents.keep_content

        def purge_is_faster(taken: Any) -> Any:
            found = keep_content(taken)
            monkeypatch.setattr(uploads, "keep_content", keep_content)
            assert aside(lambda: contents.delete_if_unused(found[0].pk))
            return found

        monkeypatch.setattr(uploads, "keep_content", purge_is_faster)
        file = stored(bob)
        assert in_storage(media) == {file.blob.path}
        assert (media / file.blob.path).read_bytes() == b"Crocodiles wait.\n"


class TestCopies:
    def test_a_fork_has_files_of_its_own(self, alice: User, bob: User, media: Path) -> None:
        files = [stored(alice, "a.txt", b"a"), stored(alice, "b.txt", b"b")]
        made = say(alice, attachments=[file.pk for file in files], ask=False)
        Member.objects.create(conversation_id=made.conversation_id, user=bob, role=Role.VIEWER)
        copy = fork(bob.pk, made.message_id)
        copied = Attachment.objects.filter(message__conversation=copy).order_by("position")
        assert [(one.file.name, one.file.owner, one.file.conversation) for one in copied.select_related("file")] == [
            ("a.txt", bob, copy), ("b.txt", bob, copy),
        ]  # fmt: skip
        assert Blob.objects.count() == 2
        logged_in(alice).delete(f"/attachments/{files[0].pk}/")
        assert logged_in(bob).get(f"/attachments/{copied[0].file_id}/state/").status_code == 200
        Message.objects.filter(pk=made.message_id).update(moderation={"action": "block"})
        again = fork(bob.pk, made.message_id)
        assert not Attachment.objects.filter(message__conversation=again).exists()


class TestOut:
    def test_an_export_has_the_files(self, alice: User, bob: User) -> None:
        file = stored(bob, "notes.txt", b"Bob's")
        made = say(bob, "See", attachments=[file.pk], ask=False)
        assert not is_large(alice)
        Member.objects.create(conversation_id=made.conversation_id, user=alice, role=Role.EDITOR)
        own = stored(alice, "own.txt", b"Own")
        assert is_large(alice)
        job = ExportJob.objects.create(user=alice)
        run_export(job.pk)
        job.refresh_from_db()
        assert job.state == "done"
        with default_storage.open(str(job.file)) as opened, zipfile.ZipFile(opened) as archive:
            texts = {name: archive.read(name) for name in archive.namelist()}
        data = json.loads(next(text for name, text in texts.items() if name.endswith(".json")))
        [shown] = data["conversations"][0]["messages"][0]["files"]
        assert texts[shown["path"]] == b"Bob's"
        assert [one["name"] for one in data["files"]] == ["own.txt"]
        assert texts[f"files/{own.pk}/own.txt"] == b"Own"

    def test_erasing_a_user(self, alice: User, bob: User, media: Path) -> None:
        shared = stored(alice, "shared.txt", b"shared")
        made = say(alice, "See", attachments=[shared.pk], ask=False)
        Member.objects.create(conversation_id=made.conversation_id, user=bob, role=Role.OWNER)
        fork(bob.pk, made.message_id)
        stored(alice, "waits.txt", b"waits")
        begun = uploads.create_upload(alice.pk, "half", 10)
        uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"12345"))
        bobs = stored(bob, "bobs.txt", b"bobs")
        assert erase(alice).files_deleted == 3
        assert list(File.objects.values_list("pk", flat=True)) == [bobs.pk]
        assert in_storage(media) == {bobs.blob.path}
