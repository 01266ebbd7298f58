"""Reads a stored content: its text by parts, the images of it that models can see, and its thumbnail.

A worker claims the row for as long as it reads, and renews the claim. If the worker is lost, the claim expires, and the
sweeper of any process publishes the job again (`chat.recovery.files`), up to `MAX_ATTEMPTS` times. What a content
itself makes fail is not tried again.
"""

from __future__ import annotations

import posixpath
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models.functions import Now

from chat.files.location import remove_location
from chat.files.storage import image_path
from chat.jobs.file_reading import MAX_ATTEMPTS
from chat.models import Blob, FileKind, FileState, FileText, Recognition
from chat.models.files import File
from workers.files.base import Result
from workers.files.process import Interrupted, read_in_child
from workers.files.recognition.engines import engine_path

CLAIM_SECONDS: Final = 12.0
RETRY_SECONDS: Final = 10.0  # after the storage was away
COPIED: Final = 1024 * 1024  # bytes at a time
INSERTED: Final = 200  # rows at a time

_CLAIM: Final = """
UPDATE chat_blob SET attempts = attempts + 1, claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE id = %(id)s AND state = 'pending' AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
RETURNING attempts
"""
_RENEW: Final = """
UPDATE chat_blob SET claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE id = %(id)s AND state = 'pending' AND attempts = %(attempt)s
"""
_WORDS: Final = """
UPDATE chat_filetext SET words = chat_search_words(text, '') WHERE blob_id = %s AND text <> ''
"""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A content that this worker reads."""

    blob: Blob
    attempt: int

    def renew(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_RENEW, {"seconds": CLAIM_SECONDS, "id": self.blob.pk, "attempt": self.attempt})


def read_blob(blob_id: uuid.UUID, stopping: Callable[[], bool] = lambda: False) -> bool:
    """Reads a content, unless another worker does or it was read. Returns whether it has another state now. Blocks.

    `stopping`: the worker shuts down. Then the content is left to another one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"id": blob_id, "seconds": CLAIM_SECONDS})
        row = cursor.fetchone()
    if row is None:
        return False
    reading = _Reading(Blob.objects.get(pk=blob_id), row[0])
    if reading.attempt > MAX_ATTEMPTS:
        return _finish(reading, Result(False, "attempts"), {})
    try:
        with tempfile.TemporaryDirectory(prefix="reading-") as name:
            return _read(reading, Path(name), stopping)
    except Interrupted:
        _give_back(reading, 0.0, counts=False)
    except FileNotFoundError:
        logger.warning("content_missing", blob=str(blob_id))
        return _finish(reading, Result(False, "gone"), {})
    except Exception as error:
        if reading.attempt >= MAX_ATTEMPTS:
            logger.exception("file_reading_failed", blob=str(blob_id))
            return _finish(reading, Result(False, "attempts"), {})
        logger.warning("file_reading_delayed", blob=str(blob_id), error=type(error).__name__)
        _give_back(reading, RETRY_SECONDS, counts=True)
    return False


def _read(reading: _Reading, folder: Path, stopping: Callable[[], bool]) -> bool:
    blob = reading.blob
    content = folder / "content"
    with default_storage.open(blob.path, "rb") as stored, content.open("wb") as copy:
        shutil.copyfileobj(stored, copy, COPIED)
    made = folder / "made"
    made.mkdir()
    cleaned = _without_location(blob, content)
    result = read_in_child(blob.kind, blob.media_type, content, made, renew=reading.renew, stopping=stopping)
    paths = _store(blob, made, result)
    if cleaned:
        paths["content"] = cleaned
    return _finish(reading, result, paths)


def _without_location(blob: Blob, content: Path) -> str:
    """Stores an image again without the place where it was taken, if it has one. The new path; else empty."""
    if blob.kind != FileKind.IMAGE:
        return ""
    data = bytearray(content.read_bytes())
    if not remove_location(data):
        return ""
    content.write_bytes(data)
    return _save(f"{_folder(blob)}/clean-{secrets.token_hex(4)}", bytes(data))


def _folder(blob: Blob) -> str:
    """Where what is made of a content is stored: beside it."""
    return posixpath.dirname(blob.path)


def _save(path: str, data: bytes) -> str:
    return str(default_storage.save(path, ContentFile(data)))


def _store(blob: Blob, made: Path, result: Result) -> dict[str, str]:
    """Stores what the child has made; its paths by name. Images for models are named by the row that stands for them
    (`image_path`).
    """
    paths: dict[str, str] = {}
    if result.thumbnail:
        paths["thumbnail"] = _save(
            f"{_folder(blob)}/thumbnail-{secrets.token_hex(4)}.webp", _made(made, "thumbnail.webp")
        )
    for position, name in image_positions(result).items():
        path = image_path(blob.path, position)
        if default_storage.exists(path):
            default_storage.delete(path)
        _save(path, _made(made, name))
    return paths


def _made(folder: Path, name: str) -> bytes:
    return (folder / Path(name).name).read_bytes()


def _rows(result: Result) -> list[tuple[str, str, str]]:
    """(label, text, name of an image) of each row in order: a part has text, or it is an image."""
    rows = [(one.number, one.label, one.text, "") for one in result.parts]
    several = len(result.images) > 1
    for name in result.images:
        number = int(Path(name).stem.rpartition("-")[2])
        label = f"page {number}" if not result.width else f"part {number}" if several else ""
        rows.append((number, label, "", name))
    return [(label, text, name) for _, label, text, name in sorted(rows, key=lambda row: (row[0], row[3] != ""))]


def image_positions(result: Result) -> dict[int, str]:
    """The positions of the rows that stand for images, with the names of the images."""
    return {position: name for position, (_, _, name) in enumerate(_rows(result), 1) if name}


def _finish(reading: _Reading, result: Result, paths: dict[str, str]) -> bool:
    """Writes the end of a reading, unless another worker has taken it over meanwhile."""
    blob = reading.blob
    readable = result.readable
    seen = blob.kind == FileKind.IMAGE and bool(result.images)
    state = FileState.FAILED if not readable else FileState.READ if result.characters or seen else FileState.EMPTY
    old = blob.path if "content" in paths else ""
    fields: dict[str, Any] = {
        "state": state, "reason": result.code, "read_at": Now(), "claimed_until": None,
        "characters": result.characters, "parts": result.total or None,
        "width": result.width or None, "height": result.height or None,
        "thumbnail": paths.get("thumbnail", ""), "path": paths.get("content", blob.path),
    }  # fmt: skip
    with transaction.atomic():
        found = Blob.objects.filter(pk=blob.pk, state=FileState.PENDING, attempts=reading.attempt)
        if not found.update(**fields):
            return False
        FileText.objects.filter(blob=blob).delete()
        FileText.objects.bulk_create(
            [
                FileText(blob_id=blob.pk, position=position, label=label, text=text)
                for position, (label, text, _) in enumerate(_rows(result), 1)
            ],
            batch_size=INSERTED,
        )
        with connection.cursor() as cursor:
            cursor.execute(_WORDS, [blob.pk])
        if readable and result.images and engine_path(settings.OCR):
            Recognition.objects.get_or_create(blob=blob)
    if old:
        default_storage.delete(old)
    logger.info("file_read", blob=str(blob.pk), state=state.value, reason=result.code, characters=result.characters)
    return True


def _give_back(reading: _Reading, seconds: float, *, counts: bool) -> None:
    """The content may be read by another worker after so many seconds; whether this attempt counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_blob SET claimed_until = clock_timestamp() + make_interval(secs => %s), attempts = %s"
            " WHERE id = %s AND state = 'pending' AND attempts = %s",
            [seconds, reading.attempt - (not counts), reading.blob.pk, reading.attempt],
        )


def files_of_blob(blob_id: uuid.UUID) -> Sequence[File]:
    """The files of a content, to tell their people that it was read."""
    return list(File.objects.select_related("blob").filter(blob=blob_id))
