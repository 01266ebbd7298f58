"""Files and collections: from an own export to another site, under the limits of uploads."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from accounts.models import SiteSettings, User
from accounts.models.site import Feature
from chat.conversations.own_collections import add_file
from chat.files import storage, uploads
from chat.files.quota import used_by
from chat.models import Attachment, Collection, Conversation, ExportJob, File, ImportJob, Message, Upload
from chat.portability import imported_files, importer, refusals
from chat.portability.archived_files import ArchivedFiles
from chat.portability.export_jobs import create_export, run_export
from chat.portability.import_jobs import create_import, run_import
from chat.portability.json_stream import ImportRefusedError
from chat.protocol.errors import QuotaExceeded, TooLarge, Unavailable
from chat.retention.erasure import erase
from tests.fixtures.attached import PNG, in_storage, stored
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import say

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading", "one_model"),
]  # fmt: skip
LATER = b"Later, the crocodile left.\n"


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda *_, **__: None)


@pytest.fixture(scope="module")
def packed_once() -> list[bytes]:
    """The archive, once a test has made it."""
    return []


@pytest.fixture
def archive(packed_once: list[bytes], request: pytest.FixtureRequest) -> bytes:
    """Alice's export of a conversation with three files, and a collection with one. She is not here (any more)."""
    if not packed_once:
        packed_once.append(make_archive(request.getfixturevalue("alice")))
    return packed_once[0]


def make_archive(alice: User) -> bytes:
    first = say(alice, "Read this.", ask=False, attachments=[stored(alice).pk, stored(alice, "dot.png", PNG).pk])
    say(alice, "", first.conversation_id, ask=False, attachments=[stored(alice, "conversations.json", b"[1, 2, 3]").pk])
    handbook = Collection.objects.create(owner=alice, name="Handbook", description="How we work")
    add_file(alice.pk, handbook.pk, stored(alice, "later.txt", LATER).pk)
    made = exported(alice)
    erase(alice)
    assert not File.objects.exists()
    return made


def exported(user: User) -> bytes:
    job = create_export(user, reasoning=False)
    run_export(job.pk)
    with default_storage.open(str(ExportJob.objects.get(pk=job.pk).file)) as file:
        return bytes(file.read())


def imported(user: User, packed: bytes, name: str = "export.zip") -> ImportJob:
    job = create_import(user, SimpleUploadedFile(name, packed))
    run_import(job.pk)
    job.refresh_from_db()
    return job


def changed(packed: bytes, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> bytes:
    """The archive with every member as `change` returns its name and bytes; None: without it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            if (found := change(name, before.read(name))) is not None:
                after.writestr(*found)
    return out.getvalue()


def contents(user: User) -> dict[str, bytes]:
    """The bytes of a user's files by name."""
    found = {}
    for file in File.objects.filter(owner=user).select_related("blob"):
        with storage.open_content(file.blob.path) as opened:
            found[file.name] = opened.read()
    return found


def test_files_and_collections_come_with_their_contents(
    archive: bytes, bob: User, media: Path, reading: list[uuid.UUID]
) -> None:
    reading.clear()
    job = imported(bob, archive)
    assert (job.state, job.new, job.files, job.files_left_out, job.collections, job.report) == ("done", 1, 4, 0, 1, [])
    every = {"notes.txt": b"Crocodiles wait.\n", "dot.png": PNG, "conversations.json": b"[1, 2, 3]", "later.txt": LATER}
    assert contents(bob) == every
    questions = list(Message.objects.filter(role="user").order_by("created_at"))
    assert [(one.text, one.file_count) for one in questions] == [("Read this.", 2), ("", 1)]
    placed = Attachment.objects.filter(message=questions[0]).order_by("position")
    assert [one.file.name for one in placed] == ["notes.txt", "dot.png"]
    conversation = Conversation.objects.get()
    assert {one.file.conversation_id for one in Attachment.objects.all()} == {conversation.pk}
    handbook = Collection.objects.get(owner=bob)
    assert (handbook.name, handbook.description, handbook.files.get().name) == ("Handbook", "How we work", "later.txt")
    assert len(set(reading)) == 4, "each content is to be read"
    assert not Upload.objects.exists()
    assert not [path for path in in_storage(media) if path.startswith(("uploads/", "imports/"))]
    again = imported(bob, archive)
    assert (again.new, again.known, again.files, again.collections) == (0, 1, 0, 0)
    assert File.objects.filter(owner=bob).count() == 4


def test_the_report_shows_what_came(archive: bytes, bob: User) -> None:
    job = imported(bob, changed(archive, lambda name, raw: None if name.endswith("dot.png") else (name, raw)))
    page = logged_in(bob).get(f"/imports/{job.pk}/").content.decode()
    assert "3 files" in page
    assert "1 collection" in page
    assert "1 file left out" in page
    assert "dot.png" in page
    assert "Its contents are not in the archive." in page


def test_an_archive_that_was_packed_again_below_a_folder(archive: bytes, bob: User) -> None:
    assert imported(bob, changed(archive, lambda name, raw: (f"my export/{name}", raw))).files == 4


def test_without_the_archive_it_says_so_once(archive: bytes, bob: User) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        name = next(one for one in packed.namelist() if one.startswith("antiphon-"))
        job = imported(bob, packed.read(name), "a.json")
    assert (job.state, job.new, job.files, job.files_left_out) == ("done", 1, 0, 4)
    assert job.report == [["a.json", refusals.FILES_NOT_HERE]]
    assert [one.text for one in Message.objects.filter(role="user").order_by("created_at")] == [
        "Read this.", "[attachment]",
    ]  # fmt: skip
    assert Collection.objects.get(owner=bob).files.count() == 0


def _evil_path(name: str, raw: bytes) -> tuple[str, bytes]:
    if not name.startswith("antiphon-"):
        return name, raw
    data = json.loads(raw)
    for message in data["conversations"][0]["messages"]:
        for file in message.get("files", ()):
            file["path"] = "../../../../etc/passwd"
    return name, json.dumps(data).encode()


def _damaged(packed: bytes) -> bytes:
    at = packed.index(b"Crocodiles wait.")
    return packed[:at] + b"X" + packed[at + 1 :]


def test_what_is_no_file_is_left_out_with_its_reason(archive: bytes, bob: User) -> None:
    job = imported(bob, changed(archive, _evil_path))
    assert {reason for _place, reason in job.report} == {refusals.FILE_MISSING}
    assert (job.new, job.files, job.files_left_out) == (1, 1, 3)


def test_a_damaged_content_is_left_out(archive: bytes, bob: User, media: Path) -> None:
    job = imported(bob, _damaged(archive))
    assert [reason for _place, reason in job.report] == [refusals.FILE_DAMAGED]
    assert refusals.retold(job.report[0][0]).endswith("(“Read this.”) · notes.txt")
    assert (job.new, job.files, job.files_left_out) == (1, 3, 1)
    assert Message.objects.get(text="Read this.").file_count == 1
    assert not Upload.objects.exists()


def test_limits_are_those_of_uploads(archive: bytes, bob: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.files.quota.MIB", 30)  # bytes: of two "MiB", what is larger than 60 bytes is too large
    settings.FILE_MAX_MB, settings.STORAGE_MB = 2, 0
    job = imported(bob, archive)
    assert [reason for _place, reason in job.report] == [refusals.FILE_TOO_LARGE], "the picture has 70 bytes"
    assert contents(bob).keys() == {"notes.txt", "conversations.json", "later.txt"}


def test_one_message_has_as_many_files_as_one_that_is_sent(archive: bytes, bob: User, settings: Any) -> None:
    settings.FILES_PER_MESSAGE = 1
    job = imported(bob, archive)
    assert [reason for _place, reason in job.report] == [refusals.TOO_MANY_FILES]
    assert (job.files, job.files_left_out) == (3, 1)
    assert Message.objects.get(text="Read this.").file_count == 1


def test_the_file_of_an_import_counts_in_the_storage_until_it_ends(
    archive: bytes, bob: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = create_import(bob, SimpleUploadedFile("export.zip", archive))
    assert (used_by(bob.pk).imports, used_by(bob.pk).all) == (len(archive), len(archive))
    monkeypatch.setattr("chat.files.quota.MIB", len(archive))
    settings.STORAGE_MB, settings.FILE_MAX_MB = 1, 1
    with pytest.raises(QuotaExceeded):
        uploads.create_upload(bob.pk, "a.txt", 10)
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.files, job.files_left_out) == (4, 0), "its own file does not count beside what is in it"
    assert used_by(bob.pk).imports == 0
    with pytest.raises(QuotaExceeded):
        create_import(bob, SimpleUploadedFile("export.zip", archive))
    assert not ImportJob.objects.exclude(pk=job.pk).exists()


@pytest.mark.usefixtures("no_rules")
def test_a_name_that_a_rule_blocks_is_left_out(archive: bytes, bob: User) -> None:
    add_rule("block", "dot", ["named"])
    job = imported(bob, archive)
    assert [reason for _place, reason in job.report] == [refusals.FILE_MODERATED]


def test_an_interrupted_import_goes_on_without_a_second_copy(
    archive: bytes, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = create_import(bob, SimpleUploadedFile("export.zip", archive))

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(importer, "_save", killed)
        with pytest.raises(SystemExit):
            run_import(job.pk)
    made = set(File.objects.filter(owner=bob).values_list("pk", flat=True))
    assert len(made) == 3
    assert not Conversation.objects.exists()
    ImportJob.objects.filter(pk=job.pk).update(state="waiting")
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.new, job.files, job.collections) == ("done", 1, 4, 1)
    assert made < set(File.objects.filter(owner=bob).values_list("pk", flat=True))
    assert File.objects.filter(owner=bob).count() == 4


def test_a_storage_that_is_away_ends_the_import_and_it_can_be_repeated(
    archive: bytes, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("Files can't be stored or read right now.")

    with monkeypatch.context() as patch:
        patch.setattr(imported_files, "store_file", away)
        job = imported(bob, archive)
    assert (job.state, job.error, Conversation.objects.count()) == ("failed", refusals.STORAGE_AWAY, 0)
    assert imported(bob, archive).files == 4


def test_they_come_while_attaching_is_switched_off(archive: bytes, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staff switch off what people upload, not what their own export brings back."""
    monkeypatch.setattr("accounts.site._known", None)
    SiteSettings.objects.create(pk=1, off=[Feature.UPLOADS.value])
    with pytest.raises(TooLarge):
        uploads.create_upload(bob.pk, "a.txt", 10)
    job = imported(bob, archive)
    assert (job.files, job.files_left_out, job.report) == (4, 0, [])


def test_the_command_brings_them_too(archive: bytes, bob: User, tmp_path: Path) -> None:
    packed, out = tmp_path / "export.zip", io.StringIO()
    packed.write_bytes(archive)
    call_command("import_chats", bob.email, str(packed), "--dry-run", stdout=out)
    assert not File.objects.exists()
    call_command("import_chats", bob.email, str(packed), stdout=out)
    assert "4 files, 1 collections." in out.getvalue()
    assert File.objects.filter(owner=bob).count() == 4


def test_what_unpacks_to_too_much_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("files/bomb", b"\0" * 1_000_000)
    monkeypatch.setattr("chat.portability.archived_files.MAX_UNPACKED", 500_000)
    found = ArchivedFiles(packed)
    with pytest.raises(ImportRefusedError, match="unpack to more than is allowed"):
        found.find("antiphon.json", "files/bomb")
    monkeypatch.setattr("chat.portability.archived_files.MAX_UNPACKED", 1_500_000)
    found = ArchivedFiles(packed)
    assert sum(map(len, found.read(found.find("antiphon.json", "files/bomb")))) == 1_000_000
    with pytest.raises(ImportRefusedError):
        found.find("antiphon.json", "files/bomb")  # of all together
