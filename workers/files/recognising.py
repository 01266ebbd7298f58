"""Recognises the text in the images of a stored content, after it was read, and keeps it with the content.

A worker claims the row of the recognition as `workers.files.reading` claims that of the content; if the worker is lost,
another one begins anew. Whatever happens, the content stays as readable as it was without it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import F

from chat.files.reading_reasons import RECOGNISED, RECOGNISED_PART
from chat.files.storage import image_path
from chat.jobs.file_reading import MAX_ATTEMPTS
from chat.models import Blob, FileState, FileText, Recognition, RecognitionState
from workers.files.base import LABEL_CHARS, MAX_CHARS
from workers.files.process import Interrupted, code_of, run_child
from workers.files.reading import CLAIM_SECONDS, COPIED, RETRY_SECONDS
from workers.files.recognition.engines import engine_path

SECONDS: Final = 600.0  # on the clock, for all images of a content
CPU_SECONDS: Final = 300
MEMORY_BYTES: Final = 2 * 1024 * 1024 * 1024  # address space: the models and the largest image need 1.4 GiB
LABEL: Final = "recognised text"

_CLAIM: Final = """
UPDATE chat_recognition SET attempts = attempts + 1,
    claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE blob_id = %(id)s AND state = 'pending' AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
RETURNING attempts
"""
_RENEW: Final = """
UPDATE chat_recognition SET claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE blob_id = %(id)s AND state = 'pending' AND attempts = %(attempt)s
"""
_GIVE_BACK: Final = """
UPDATE chat_recognition SET claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s), attempts = %(left)s
WHERE blob_id = %(id)s AND state = 'pending' AND attempts = %(attempt)s
"""
_WORDS: Final = """
UPDATE chat_filetext SET words = chat_search_words(text, '') WHERE blob_id = %s AND recognised
"""

logger = structlog.get_logger(__name__)


def is_available() -> bool:
    """Whether this process can have text recognised."""
    return bool(engine_path(settings.OCR))


def is_wanted(blob_id: uuid.UUID) -> bool:
    """Whether text of this content is still to be recognised. Blocks."""
    return Recognition.objects.filter(blob=blob_id, state=RecognitionState.PENDING).exists()


def recognise_blob(blob_id: uuid.UUID, stopping: Callable[[], bool] = lambda: False) -> bool:
    """Recognises the text of a content, unless another worker does or it is done. Returns whether the content has text
    now that it had not. Blocks.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"id": blob_id, "seconds": CLAIM_SECONDS})
        row = cursor.fetchone()
    if row is None:
        return False
    attempt: int = row[0]
    blob = Blob.objects.get(pk=blob_id)
    if attempt > MAX_ATTEMPTS or not is_available():
        return _fail(blob, attempt, "attempts" if attempt > MAX_ATTEMPTS else "not_installed")
    try:
        with tempfile.TemporaryDirectory(prefix="recognising-") as name:
            return _recognise(blob, attempt, Path(name), stopping)
    except Interrupted:
        _give_back(blob, attempt, 0.0, attempt - 1)
    except FileNotFoundError:
        return _fail(blob, attempt, "gone")
    except Exception as error:
        if attempt >= MAX_ATTEMPTS:
            logger.exception("recognition_crashed", blob=str(blob_id))
            return _fail(blob, attempt, "attempts")
        logger.warning("recognition_delayed", blob=str(blob_id), error=type(error).__name__)
        _give_back(blob, attempt, RETRY_SECONDS, attempt)
    return False


def _recognise(blob: Blob, attempt: int, folder: Path, stopping: Callable[[], bool]) -> bool:
    positions = _copy_images(blob, folder)

    def renew() -> None:
        with connection.cursor() as cursor:
            cursor.execute(_RENEW, {"seconds": CLAIM_SECONDS, "id": blob.pk, "attempt": attempt})

    arguments = [engine_path(settings.OCR), str(folder), str(CPU_SECONDS), str(MEMORY_BYTES)]
    try:
        status, said = run_child(
            "workers.files.recognition.child", arguments, folder, SECONDS, renew, stopping
        )  # fmt: skip
        code = "" if status == 0 else code_of(status, said)
    except subprocess.TimeoutExpired:
        code = "too_slow"
    texts = {
        position: path.read_text(encoding="utf-8")
        for position in positions
        if (path := folder / f"{position}.txt").exists()
    }
    if len(texts) < len(positions):
        logger.warning(
            "recognition_incomplete", blob=str(blob.pk), reason=code, images=len(positions), recognised=len(texts)
        )
        if not texts:
            return _fail(blob, attempt, code or "broken")
    return _finish(blob, attempt, texts, whole=len(texts) == len(positions))


def _copy_images(blob: Blob, folder: Path) -> list[int]:
    """Copies the images of the content from the storage; their positions."""
    rows = FileText.objects.filter(blob=blob, text="").order_by("position")
    positions = list(rows.values_list("position", flat=True))
    for position in positions:
        with default_storage.open(image_path(blob.path, position), "rb") as stored:
            start = stored.read(COPIED)
            ending = "png" if start.startswith(b"\x89PNG") else "jpg"
            with (folder / f"{position}.{ending}").open("wb") as copy:
                copy.write(start)
                shutil.copyfileobj(stored, copy, COPIED)
    return positions


def _finish(blob: Blob, attempt: int, texts: dict[int, str], *, whole: bool) -> bool:
    """Keeps the texts, unless another worker has taken over meanwhile; whether there are any."""
    kept: dict[int, str] = {}
    left = MAX_CHARS - blob.characters
    for position, text in sorted(texts.items()):
        if text and len(text) <= left:
            kept[position] = text
            left -= len(text)
    characters = sum(map(len, kept.values()))
    with transaction.atomic():
        mine = Recognition.objects.filter(blob=blob, state=RecognitionState.PENDING, attempts=attempt)
        if not mine.update(state=RecognitionState.DONE, characters=characters, claimed_until=None):
            return False
        if not kept:
            return False
        rows = list(FileText.objects.filter(blob=blob, text="", position__in=kept))
        for row in rows:
            row.text, row.recognised = kept[row.position], True
            row.label = f"{row.label}, {LABEL}"[:LABEL_CHARS] if row.label else LABEL
        FileText.objects.bulk_update(rows, ["text", "label", "recognised"], batch_size=100)
        with connection.cursor() as cursor:
            cursor.execute(_WORDS, [blob.pk])
        # What else is missing of it is more important to know.
        reason = (RECOGNISED if whole else RECOGNISED_PART) if blob.reason in ("", "scan") else blob.reason
        Blob.objects.filter(pk=blob.pk).update(
            state=FileState.READ, reason=reason, characters=F("characters") + characters
        )
    logger.info("text_recognised", blob=str(blob.pk), images=len(kept), characters=characters, whole=whole)
    return True


def _fail(blob: Blob, attempt: int, code: str) -> bool:
    """Nothing is recognised; the content stays as it is."""
    Recognition.objects.filter(blob=blob, state=RecognitionState.PENDING, attempts=attempt).update(
        state=RecognitionState.FAILED, claimed_until=None
    )
    logger.warning("recognition_failed", blob=str(blob.pk), reason=code)
    return False


def _give_back(blob: Blob, attempt: int, seconds: float, left: int) -> None:
    """Another worker may claim it after so many seconds; `left` is the number of attempts from then on."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, {"id": blob.pk, "attempt": attempt, "seconds": seconds, "left": left})
