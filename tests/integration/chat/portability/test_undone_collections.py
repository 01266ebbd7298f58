"""Undoing an import deletes the collections that it has made, and only those that are as it has made them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import current_app
from django.contrib.auth.models import Group
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from chat.conversations.own_collections import add_file, delete_collection, remove_from_collection
from chat.files.quota import used_by
from chat.models import Collection, Conversation, ExportJob, File, Folder, ImportedCollection, ImportJob, Preset
from chat.portability import imported_collections
from chat.portability.export_jobs import create_export, run_export
from chat.portability.import_jobs import Undone, create_import, run_import, undo_import
from chat.retention.erasure import erase
from tests.fixtures.attached import stored
from tests.fixtures.people import logged_in

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading", "one_model"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda *_, **__: None)


@pytest.fixture
def archive(alice: User) -> bytes:
    """Alice's export of two collections with a file each, and no conversation. She is gone afterwards."""
    for name in ("Handbook", "Recipes"):
        row = Collection.objects.create(owner=alice, name=name, description="How we work")
        add_file(alice.pk, row.pk, stored(alice, f"{name}.txt", f"All of the {name}.\n".encode()).pk)
    job = create_export(alice, reasoning=False)
    run_export(job.pk)
    with default_storage.open(str(ExportJob.objects.get(pk=job.pk).file)) as file:
        made = bytes(file.read())
    erase(alice)
    return made


def imported(user: User, packed: bytes) -> ImportJob:
    job = create_import(user, SimpleUploadedFile("export.zip", packed))
    run_import(job.pk)
    job.refresh_from_db()
    return job


def names(user: User) -> list[str]:
    return list(Collection.objects.filter(owner=user).order_by("name").values_list("name", flat=True))


def test_unchanged_collections_are_deleted_with_their_files(archive: bytes, bob: User) -> None:
    own = Collection.objects.create(owner=bob, name="Mine")
    job = imported(bob, archive)
    assert (job.new, job.collections, names(bob)) == (0, 2, ["Handbook", "Mine", "Recipes"])
    page = logged_in(bob).get("/accounts/settings/data/").content.decode()
    assert f"/imports/{job.pk}/undo/" in page, "an import of collections alone can be undone"
    assert undo_import(bob.pk, job.pk) == Undone(0, collections=2)
    assert Collection.objects.get(owner=bob) == own
    assert not File.objects.filter(owner=bob).exists()
    assert used_by(bob.pk).all == 0
    assert undo_import(bob.pk, job.pk) == Undone(0)
    assert imported(bob, archive).collections == 2, "a later import brings them again"


def _rename(bob: User, row: Collection) -> None:
    Collection.objects.filter(pk=row.pk).update(name="Our handbook")


def _share(bob: User, row: Collection) -> None:
    row.groups.add(Group.objects.create(name="Team"))


def _add(bob: User, row: Collection) -> None:
    add_file(bob.pk, row.pk, stored(bob, "more.txt", b"One page more.\n").pk)


def _remove(bob: User, row: Collection) -> None:
    remove_from_collection(bob.pk, row.pk, File.objects.get(collection=row).pk)


def _choose(bob: User, row: Collection) -> None:
    Conversation.objects.create(title="Asks it").collections.add(row)


def _begin_with(bob: User, row: Collection) -> None:
    Preset.objects.create(name="Helper", owner=bob, model="test").collections.add(row)


def _put_into_folder(bob: User, row: Collection) -> None:
    Folder.objects.create(user=bob, name="Work").collections.add(row)


@pytest.mark.parametrize("change", [_rename, _share, _add, _remove, _choose, _begin_with, _put_into_folder])
def test_one_that_was_changed_or_is_used_stays(
    archive: bytes, bob: User, change: Callable[[User, Collection], None]
) -> None:
    job = imported(bob, archive)
    row = Collection.objects.get(owner=bob, name="Handbook")
    change(bob, row)
    assert undo_import(bob.pk, job.pk) == Undone(0, collections=1, kept=1)
    assert Collection.objects.get(owner=bob) == row


def test_a_conversation_in_the_trash_does_not_keep_one(archive: bytes, bob: User) -> None:
    job = imported(bob, archive)
    _choose(bob, Collection.objects.get(owner=bob, name="Handbook"))
    Conversation.objects.update(deleted_at="2026-01-01T00:00:00Z")
    assert undo_import(bob.pk, job.pk) == Undone(0, collections=2)


def test_one_that_its_owner_has_deleted_is_not_counted(archive: bytes, bob: User) -> None:
    job = imported(bob, archive)
    delete_collection(bob.pk, Collection.objects.get(owner=bob, name="Handbook").pk)
    assert undo_import(bob.pk, job.pk) == Undone(0, collections=1)


def test_only_those_of_this_import_are_deleted(archive: bytes, bob: User) -> None:
    first = imported(bob, archive)
    delete_collection(bob.pk, Collection.objects.get(owner=bob, name="Handbook").pk)
    second = imported(bob, archive)
    assert (second.collections, ImportedCollection.objects.filter(job=second).count()) == (1, 1)
    assert undo_import(bob.pk, second.pk) == Undone(0, collections=1)
    assert names(bob) == ["Recipes"]
    assert undo_import(bob.pk, first.pk) == Undone(0, collections=1)


def test_the_page_says_what_became_of_them(archive: bytes, bob: User) -> None:
    job = imported(bob, archive)
    _rename(bob, Collection.objects.get(owner=bob, name="Handbook"))
    client: Client = logged_in(bob)
    page = client.post(f"/imports/{job.pk}/undo/", follow=True).content.decode()
    assert "1 imported collection has been deleted." in page
    assert "1 imported collection stays, because it was changed or is used now." in page
    assert "conversations are in the trash now" not in page
    assert f"/imports/{job.pk}/undo/" not in page


def test_an_attempt_that_was_killed_can_be_undone_after_the_next(
    archive: bytes, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = create_import(bob, SimpleUploadedFile("export.zip", archive))

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(imported_collections, "store_files", killed)
        with pytest.raises(SystemExit):
            run_import(job.pk)
    assert names(bob) == ["Handbook"]
    ImportJob.objects.filter(pk=job.pk).update(state="waiting")
    run_import(job.pk)
    assert File.objects.filter(owner=bob).count() == 2
    assert undo_import(bob.pk, job.pk) == Undone(0, collections=2)
    assert names(bob) == []


def test_an_attempt_leaves_what_an_earlier_import_has_made(archive: bytes, bob: User) -> None:
    first = imported(bob, archive)
    _remove(bob, Collection.objects.get(owner=bob, name="Handbook"))
    second = create_import(bob, SimpleUploadedFile("export.zip", archive))
    ImportJob.objects.filter(pk=second.pk).update(attempt=1)  # as after a worker was lost
    run_import(second.pk)
    assert not File.objects.filter(collection__name="Handbook").exists()
    assert undo_import(bob.pk, second.pk) == Undone(0)
    assert undo_import(bob.pk, first.pk) == Undone(0, collections=1, kept=1)


def test_what_the_command_makes_belongs_to_no_import(archive: bytes, bob: User, tmp_path: Path) -> None:
    packed = tmp_path / "export.zip"
    packed.write_bytes(archive)
    call_command("import_chats", bob.email, str(packed), stdout=io.StringIO())
    assert names(bob) == ["Handbook", "Recipes"]
    assert not ImportedCollection.objects.exists()
