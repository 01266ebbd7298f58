"""Contents are read once, whatever happens to the worker, the storage and the content."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from PIL import Image

from accounts.models import User
from chat.files.storage import image_path
from chat.jobs.file_reading import MAX_ATTEMPTS, unread_contents
from chat.models import Blob, FileText
from tests import made_files as made
from tests.fixtures.people import logged_in
from tests.integration.workers.files.conftest import Keep
from workers.files import process, reading
from workers.files.process import read_in_child
from workers.files.reading import read_blob

pytestmark = pytest.mark.django_db(transaction=True)


def expire(blob_id: uuid.UUID) -> None:
    """Nobody has renewed the claim."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chat_blob SET claimed_until = clock_timestamp() - interval '1 second'")


def test_a_text_is_read_once(alice: User, keep: Keep) -> None:
    blob = keep(alice, b"The crocodile\nwaits.", "a.txt", "text", "text/plain").blob
    assert read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.state, blob.reason, blob.characters, blob.attempts, blob.claimed_until) == ("read", "", 20, 1, None)
    [text] = FileText.objects.filter(blob=blob)
    assert (text.label, text.text) == ("", "The crocodile\nwaits.")
    found = FileText.objects.extra(where=["words @@ %s::tsquery"], params=["'crocodile'"])
    assert found.count() == 1
    assert not read_blob(blob.pk), "it was read"
    blob.refresh_from_db()
    assert blob.attempts == 1


def test_an_image_has_a_thumbnail_and_no_place(alice: User, keep: Keep) -> None:
    content = made.image((400, 300), "JPEG", exif=made.gps_exif(6))
    blob = keep(alice, content, "a.jpg", "image", "image/jpeg").blob
    before = blob.path
    assert read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.state, blob.width, blob.height, blob.parts) == ("read", 300, 400, 1)
    assert not default_storage.exists(before)
    for path in (blob.path, blob.thumbnail, image_path(blob.path, 1)):
        with default_storage.open(path) as stored, Image.open(stored) as image:
            assert not image.getexif().get_ifd(0x8825), path
    with default_storage.open(blob.path) as stored:
        assert len(stored.read()) == blob.size


def test_an_image_that_browsers_cannot_show_is_shown_as_one_that_they_can(alice: User, keep: Keep) -> None:
    content = made.image((400, 300), "HEIF")
    file = keep(alice, content, "photo.heic", "image", "image/heic")
    assert read_blob(file.blob_id)
    browser = logged_in(alice)
    shown: Any = browser.get(f"/attachments/{file.pk}/?view=1")
    assert (shown["Content-Type"], shown["Content-Disposition"]) == ("image/jpeg", 'inline; filename="photo.heic"')
    with Image.open(io.BytesIO(b"".join(shown.streaming_content))) as image:
        assert (image.format, image.size) == ("JPEG", (400, 300))
    original: Any = browser.get(f"/attachments/{file.pk}/")
    assert original["Content-Disposition"].startswith("attachment")
    assert b"".join(original.streaming_content) == content
    default_storage.delete(image_path(file.blob.path, 1))
    assert browser.get(f"/attachments/{file.pk}/?view=1").status_code == 404


def test_a_scan_has_images_of_its_pages(alice: User, keep: Keep) -> None:
    blob = keep(alice, made.pdf(["", ""]), "scan.pdf", "pdf", "application/pdf").blob
    assert read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.state, blob.reason, blob.parts) == ("empty", "scan", 2)
    assert list(blob.texts.order_by("position").values_list("label", "text")) == [("page 1", ""), ("page 2", "")]
    assert default_storage.exists(image_path(blob.path, 2))


def test_a_broken_file_is_named_and_not_tried_again(alice: User, keep: Keep) -> None:
    blob = keep(alice, made.encrypted_pdf(), "a.pdf", "pdf", "application/pdf").blob
    assert read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.state, blob.reason, blob.attempts) == ("failed", "encrypted", 1)
    assert unread_contents() == []


def test_a_content_that_is_gone(alice: User, keep: Keep) -> None:
    blob = keep(alice, b"x", "a.txt", "text", "text/plain").blob
    default_storage.delete(blob.path)
    assert read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.state, blob.reason) == ("failed", "gone")


def test_a_storage_that_is_away_is_tried_again_three_times(
    alice: User, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = keep(alice, b"x", "a.txt", "text", "text/plain").blob

    def away(*_: Any) -> None:
        raise ConnectionError("the bucket is away")

    monkeypatch.setattr(FileSystemStorage, "open", away)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert unread_contents() == [] or attempt == 1
        expire(blob.pk)
        assert unread_contents() == [blob.pk]
        assert read_blob(blob.pk) == (attempt == MAX_ATTEMPTS)
    blob.refresh_from_db()
    assert (blob.state, blob.reason, blob.attempts) == ("failed", "attempts", MAX_ATTEMPTS)


def test_a_disk_that_is_full_costs_nothing_but_time(
    alice: User, keep: Keep, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text was read, and there is no room for the thumbnail and the images."""
    blob = keep(alice, made.image((400, 300), "JPEG", exif=made.gps_exif()), "a.jpg", "image", "image/jpeg").blob

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "_save", full)
        assert not read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.state, blob.attempts) == ("pending", 1)
    assert default_storage.exists(blob.path)
    expire(blob.pk)
    assert read_blob(blob.pk)
    blob.refresh_from_db()
    assert blob.state == "read"
    kept = {blob.path, blob.thumbnail, image_path(blob.path, 1)}
    assert {str(one.relative_to(media)) for one in media.rglob("*") if one.is_file()} == kept


def test_a_worker_that_shuts_down_leaves_it_to_another(
    alice: User, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LOOK_SECONDS", 0.01)
    blob = keep(alice, b"text", "a.txt", "text", "text/plain").blob
    assert not read_blob(blob.pk, lambda: True)
    blob.refresh_from_db()
    assert (blob.state, blob.attempts) == ("pending", 0)
    assert unread_contents() == [blob.pk]
    assert read_blob(blob.pk)


def test_two_workers_do_not_read_it_at_once(alice: User, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = keep(alice, b"text", "a.txt", "text", "text/plain").blob
    second: list[bool] = []

    def meanwhile(*args: Any, **more: Any) -> Any:
        second.append(read_blob(blob.pk))
        return read_in_child(*args, **more)

    monkeypatch.setattr(reading, "read_in_child", meanwhile)
    assert read_blob(blob.pk)
    assert second == [False]


_READER = """
import os, sys, uuid
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django
django.setup()
from django.conf import settings
from django.core.files.storage import storages
from django.db import connections
connections["default"].settings_dict["NAME"] = sys.argv[2]
settings.STORAGES["default"] = {
    "BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": sys.argv[3]}
}
from workers.files.reading import read_blob
read_blob(uuid.UUID(sys.argv[1]))
"""


def test_a_killed_worker_is_replaced_and_its_child_ends(alice: User, keep: Keep, media: Path) -> None:
    """kill -9 in the middle of reading; another worker reads the content from the beginning."""
    slow = made.zipped({"word/document.xml": b"<a>" + b"<w/>" * 2_500_000 + b"</a>", "pad": os.urandom(200_000)})
    blob = keep(alice, slow, "slow.docx", "document", made.DOCX).blob
    name = str(connection.settings_dict["NAME"])
    worker = subprocess.Popen([sys.executable, "-c", _READER, str(blob.pk), name, str(media)])
    try:
        child = _wait_for_child(worker)
        assert Blob.objects.get(pk=blob.pk).attempts == 1
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert not read_blob(blob.pk), "the claim of the lost worker still counts"
    _wait_for_end(child)
    expire(blob.pk)
    assert unread_contents() == [blob.pk]
    assert read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.attempts, blob.state) == (2, blob.state)
    assert blob.state != "pending"


def _wait_for_child(worker: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert worker.poll() is None, "it ended before its child began"
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError("no child began")


def _wait_for_end(pid: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the child outlives its worker")
