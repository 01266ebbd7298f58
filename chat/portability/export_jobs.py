"""Exports of everything stored about a user, made in the background: a ZIP file, kept for a while."""

from __future__ import annotations

import math
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib import rate_limit
from accounts.models import User
from chat.models import ExportJob, Member, Recording
from chat.portability import made_files, transfers
from chat.portability.export import export_user_data
from chat.portability.exported_files import exported_files, write_file
from chat.protocol.errors import Conflict, RateLimited

AT_ONCE: Final = 200  # conversations of an export that is sent while it is made
BEAT_SECONDS: Final = 1.0

logger = structlog.get_logger(__name__)


def is_large(user: User) -> bool:
    """Whether an export takes so long that it is better made in the background."""
    if Recording.objects.filter(user=user).exclude(audio="").exists() or exported_files(user).exists():
        return True
    return Member.objects.filter(user=user)[AT_ONCE : AT_ONCE + 1].exists()


def create_export(user: User, *, reasoning: bool) -> ExportJob:
    """Publishes the job. Raises `Conflict`, `RateLimited`."""
    limits = rate_limit.required_limits((f"exports:{user.pk.hex}", settings.RATE_EXPORTS))
    if wait := rate_limit.try_acquire(limits):
        raise RateLimited(_("You’ve exported your data too often. Try again later."), retry_after=math.ceil(wait))
    try:
        with transaction.atomic():
            job = ExportJob.objects.create(user=user, reasoning=reasoning)
            transfers.publish(transfers.EXPORT_TASK, job.pk)
    except IntegrityError:
        raise Conflict(_("An export is already being prepared.")) from None
    logger.info("export_created", job=str(job.pk), user_id=str(user.pk))
    return job


def run_export(job_id: uuid.UUID, is_stopping: Callable[[], bool] = lambda: False) -> None:
    """Makes an export, in a worker. `is_stopping`: the worker is to end; another one begins anew then."""
    made_files.make_file(ExportJob, job_id, "zip", lambda job, made: _write(job, made, is_stopping))


def _write(job: ExportJob, made: Any, is_stopping: Callable[[], bool]) -> dict[str, int]:
    """Writes the archive. Raises `StoppingError`, `ClaimLostError`, `OSError`, `Unavailable`."""
    total = Member.objects.filter(user=job.user).count()
    transfers.beat(job, total=total)
    shown = time.monotonic()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        inside = f"antiphon-{timezone.now():%Y-%m-%d}.json"
        with archive.open(inside, "w", force_zip64=True) as out:
            for number, piece in enumerate(export_user_data(job.user, reasoning=job.reasoning)):
                out.write(piece.encode(errors="replace"))  # an unpaired surrogate cannot be encoded
                if time.monotonic() - shown < BEAT_SECONDS:
                    continue
                transfers.beat(job, done=min(number // 2, total))
                if is_stopping():
                    raise made_files.StoppingError
                shown = time.monotonic()
        for file in exported_files(job.user).iterator(chunk_size=100):
            write_file(archive, job.user, file)
            transfers.beat(job)
            if is_stopping():
                raise made_files.StoppingError
    return {}
