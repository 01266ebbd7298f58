"""Text in pictures and scans: recognised after reading, kept beside the images, and never at the cost of the content.

The recognisers are those of tests/fixtures/recognisers.py, in the real child.
"""

from __future__ import annotations

import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from chat.files.collections import readiness_of
from chat.files.payloads import file_dict
from chat.files.storage import image_path
from chat.jobs.file_reading import MAX_ATTEMPTS, unrecognised_contents
from chat.models import Blob, Collection, File, FileText, Recognition
from tests import made_files as made
from tests.fixtures.recognisers import NAMED
from tests.integration.workers.files.conftest import Keep
from workers.files import recognising
from workers.files.process import Interrupted
from workers.files.reading import read_blob
from workers.files.recognising import is_wanted, recognise_blob

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def recogniser(settings: Any) -> None:
    settings.OCR = f"{NAMED}.Reads"


@pytest.fixture
def scan(alice: User, keep: Keep) -> Blob:
    """A scan of two pages that was read."""
    blob = keep(alice, made.pdf(["", ""]), "scan.pdf", "pdf", "application/pdf").blob
    assert read_blob(blob.pk)
    return blob


def state_of(blob: Blob) -> tuple[str, str, int]:
    blob.refresh_from_db()
    return blob.state, blob.reason, blob.characters


def recognition_of(blob: Blob) -> tuple[str, int, int]:
    row = Recognition.objects.get(blob=blob)
    return row.state, row.characters, row.attempts


def expire(blob: Blob) -> None:
    """Nobody has renewed the claim, and the row is old enough."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chat_recognition SET created_at = created_at - interval '1 hour', claimed_until = NULL")


def test_the_text_of_a_scan_is_kept_with_its_pages(scan: Blob) -> None:
    assert state_of(scan) == ("empty", "scan", 0)
    assert is_wanted(scan.pk)
    assert recognise_blob(scan.pk)
    state, reason, characters = state_of(scan)
    assert (state, reason) == ("read", "recognised")
    rows = list(FileText.objects.filter(blob=scan).order_by("position").values_list("label", "text", "recognised"))
    assert rows == [
        ("page 1, recognised text", "The heron came to pond 1\nand left again.", True),
        ("page 2, recognised text", "The heron came to pond 2\nand left again.", True),
    ]
    assert characters == sum(len(text) for _, text, _ in rows)
    assert recognition_of(scan) == ("done", characters, 1)
    found = FileText.objects.extra(where=["words @@ %s::tsquery"], params=["'heron'"])
    assert found.count() == 2, "search finds it"
    assert default_storage.exists(image_path(scan.path, 2)), "models that see still get the images"
    assert "was recognised and can have mistakes" in file_dict(File.objects.get(blob=scan))["reason"]
    assert not is_wanted(scan.pk)
    assert not recognise_blob(scan.pk), "it is done"


def test_the_text_of_a_picture(alice: User, keep: Keep) -> None:
    blob = keep(alice, made.image((400, 300), "PNG"), "a.png", "image", "image/png").blob
    assert read_blob(blob.pk)
    assert state_of(blob) == ("read", "", 0)
    assert recognise_blob(blob.pk)
    assert state_of(blob)[:2] == ("read", "recognised")
    assert FileText.objects.get(blob=blob).label == "recognised text"


def test_a_photo_without_text_stays_as_it_is(alice: User, keep: Keep, settings: Any) -> None:
    settings.OCR = f"{NAMED}.FindsNothing"
    blob = keep(alice, made.image((400, 300), "PNG"), "a.png", "image", "image/png").blob
    assert read_blob(blob.pk)
    assert not recognise_blob(blob.pk)
    assert (state_of(blob), recognition_of(blob)) == (("read", "", 0), ("done", 0, 1))


def test_pages_with_text_of_their_own_are_not_recognised(alice: User, keep: Keep) -> None:
    words = "This page has text of its own, enough of it."
    blob = keep(alice, made.pdf([words, ""]), "mixed.pdf", "pdf", "application/pdf").blob
    assert read_blob(blob.pk)
    assert recognise_blob(blob.pk)
    rows = FileText.objects.filter(blob=blob).order_by("position")
    assert [row.recognised for row in rows] == [False, True]
    assert state_of(blob)[1] == "recognised"


def test_without_a_recogniser_everything_stays_as_it_is(alice: User, keep: Keep, settings: Any) -> None:
    settings.OCR = "off"
    blob = keep(alice, made.pdf([""]), "scan.pdf", "pdf", "application/pdf").blob
    assert read_blob(blob.pk)
    assert not Recognition.objects.exists()
    assert not recognise_blob(blob.pk)
    assert state_of(blob) == ("empty", "scan", 0)


@pytest.mark.parametrize(
    ("engine", "limits"),
    [
        ("Hangs", {"SECONDS": 2.0}),
        ("TakesMemory", {"MEMORY_BYTES": 512 * 2**20}),
        ("NotThere", {}),
    ],
)
def test_a_recogniser_that_fails_costs_nothing_but_its_text(
    scan: Blob, settings: Any, monkeypatch: pytest.MonkeyPatch, engine: str, limits: dict[str, Any]
) -> None:
    settings.OCR = f"{NAMED}.{engine}"
    for name, value in limits.items():
        monkeypatch.setattr(recognising, name, value)
    assert not recognise_blob(scan.pk)
    assert (state_of(scan), recognition_of(scan)) == (("empty", "scan", 0), ("failed", 0, 1))
    expire(scan)
    assert unrecognised_contents() == [], "it is not tried again by itself"


def test_what_was_recognised_before_a_limit_is_kept(scan: Blob, settings: Any) -> None:
    settings.OCR = f"{NAMED}.EndsAtTheSecond"
    assert recognise_blob(scan.pk)
    assert state_of(scan)[:2] == ("read", "recognised_part")
    rows = FileText.objects.filter(blob=scan).order_by("position")
    assert [bool(row.text) for row in rows] == [True, False]


def test_a_lost_worker_is_followed_by_another(scan: Blob, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(recognising, "run_child", lost)
        with pytest.raises(SystemExit):
            recognise_blob(scan.pk)
    assert unrecognised_contents() == [], "it is claimed"
    assert not recognise_blob(scan.pk)
    expire(scan)
    assert unrecognised_contents() == [scan.pk]
    assert recognise_blob(scan.pk)
    assert recognition_of(scan)[2] == 2


def test_it_is_not_tried_for_ever(scan: Blob) -> None:
    Recognition.objects.update(attempts=MAX_ATTEMPTS)
    assert not recognise_blob(scan.pk)
    assert recognition_of(scan)[0] == "failed"


def test_a_worker_that_shuts_down_leaves_it_to_another(scan: Blob, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(recognising, "run_child", interrupted)
        assert not recognise_blob(scan.pk)
    assert recognition_of(scan) == ("pending", 0, 0)
    assert recognise_blob(scan.pk)


def test_a_storage_that_is_away_delays_it(scan: Blob, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "open", away)
        assert not recognise_blob(scan.pk)
    assert recognition_of(scan) == ("pending", 0, 1)
    expire(scan)
    assert recognise_blob(scan.pk)


def test_a_content_that_is_deleted_meanwhile(scan: Blob) -> None:
    File.objects.filter(blob=scan).delete()
    scan.delete()
    assert not Recognition.objects.exists()
    assert not recognise_blob(uuid.uuid4())


def test_a_collection_waits_for_it(alice: User, scan: Blob) -> None:
    collection = Collection.objects.create(owner=alice, name="Scans")
    File.objects.filter(blob=scan).update(collection=collection)
    assert readiness_of([collection.pk])[collection.pk].as_dict() == {"files": 1, "ready": 0, "failed": 0}
    assert recognise_blob(scan.pk)
    assert readiness_of([collection.pk])[collection.pk].as_dict() == {"files": 1, "ready": 1, "failed": 0}


def test_the_command_has_earlier_contents_recognised(alice: User, keep: Keep, settings: Any) -> None:
    settings.OCR = "off"
    scan = keep(alice, made.pdf([""]), "scan.pdf", "pdf", "application/pdf").blob
    text = keep(alice, b"Text.", "a.txt", "text", "text/plain").blob
    for blob in (scan, text):
        assert read_blob(blob.pk)
    with pytest.raises(CommandError, match="OCR is off"):
        call_command("files", "recognise")
    settings.OCR = f"{NAMED}.Reads"
    out = StringIO()
    call_command("files", "recognise", stdout=out)
    assert "The text of 1 contents will be recognised" in out.getvalue()
    assert recognise_blob(scan.pk)
    assert not Recognition.objects.filter(blob=text).exists()
    Recognition.objects.update(state="failed")
    call_command("files", "recognise", stdout=out)
    assert recognition_of(scan)[0] == "pending", "what has failed is tried again"
