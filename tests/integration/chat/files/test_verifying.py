"""`manage.py files`, and the jobs of contents that nobody has read."""

from __future__ import annotations

import errno
import io
import os
import shutil
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from chat.files import storage, uploads
from tests.fixtures.attached import in_storage, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "reading")]


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("files", *arguments, stdout=out)
    return out.getvalue()


def leave(media: Path, path: str, *, days: float) -> None:
    """Something that a process left in the storage."""
    (media / path).parent.mkdir(parents=True, exist_ok=True)
    (media / path).write_bytes(b"x")
    then = time.time() - days * 86_400
    os.utime(media / path, (then, then))


def test_what_is_missing_and_what_nobody_knows_of(alice: User, media: Path) -> None:
    file = stored(alice, "notes.txt")
    begun = uploads.create_upload(alice.pk, "half", 10)
    uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"12345"))
    folder = storage.content_folder(file.pk)
    leave(media, f"{folder}/0123abcd", days=2)
    leave(media, f"{folder}/4567abcd", days=0)
    leave(media, f"{folder}/thumbnail-1.webp", days=2)
    leave(media, f"{storage.content_folder(begun.id)}/page-1.webp", days=2)
    leave(media, f"{storage.upload_folder(begun.id)}/5.dead", days=2)
    left = said("verify")
    assert "0 damaged contents; 3 unknown objects found" in left
    assert "4567abcd" not in left
    said("verify", "--delete")
    assert not [path for path in in_storage(media) if path.endswith(("/0123abcd", ".dead", "page-1.webp"))]
    assert f"{folder}/thumbnail-1.webp" in in_storage(media)
    assert uploads.receive_chunk(alice.pk, begun.id, 5, io.BytesIO(b"67890")) == 10
    uploads.finish_upload(alice.pk, begun.id)
    (media / file.blob.path).write_bytes(b"short")
    with pytest.raises(CommandError, match="backup"):
        said("verify")
    (media / file.blob.path).unlink()
    with pytest.raises(CommandError, match="backup"):
        said("verify")


def test_a_copy_of_the_storage_brings_back_what_was_lost(alice: User, media: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    file = stored(alice, "notes.txt")
    begun = uploads.create_upload(alice.pk, "half", 10)
    uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"12345"))
    assert said("backup", str(copy)).startswith("1 contents; 1 copied")
    assert in_storage(copy) == {file.blob.path}, "without uploads in progress"
    assert (copy / file.blob.path).read_bytes() == b"Crocodiles wait.\n"
    later = stored(alice, "more.txt", b"More.")
    assert said("backup", str(copy)).startswith("2 contents; 1 copied")
    (media / file.blob.path).unlink()
    (media / later.blob.path).write_bytes(b"cut")
    assert said("restore", str(copy)).startswith("2 contents; 2 copied")
    said("verify")
    assert (media / later.blob.path).read_bytes() == b"More."
    assert said("restore", str(copy)).startswith("2 contents; 0 copied")
    with pytest.raises(CommandError, match="no folder"):
        said("restore", str(tmp_path / "nowhere"))


def test_a_copy_that_is_interrupted_leaves_no_half_content(
    alice: User, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(alice, "notes.txt")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(CommandError, match="not complete"):
            said("backup", str(tmp_path / "copy"))
    assert in_storage(tmp_path / "copy") == set()
    assert said("backup", str(tmp_path / "copy")).startswith("1 contents; 1 copied")


def test_the_files_of_a_user(alice: User, media: Path) -> None:
    stored(alice, "notes.txt")
    assert "notes.txt" in said("list", "ALICE@example.org")
    with pytest.raises(CommandError, match="no account"):
        said("list", "nobody@example.org")
