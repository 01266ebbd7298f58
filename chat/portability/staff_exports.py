"""Exports of the admin's lists as CSV files, made in the background and kept for a while."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import structlog
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Model
from django.db.models.functions import Now
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib.db import release_connections
from accounts.lib.streaming import csv_pieces
from accounts.lib.texts import gettext_noop
from accounts.models import User
from accounts.staff.background import list_file
from chat.models import StaffExport, TransferState
from chat.models.transfers import IN_PROGRESS
from chat.portability import transfers
from chat.protocol.errors import Conflict

AT_ONCE: Final = 3  # exports of one member of staff in progress
BEAT_SECONDS: Final = 1.0
NOT_ALLOWED: Final = gettext_noop("You don’t have permission to export this list any more.")
NOT_WRITTEN: Final = gettext_noop("The file could not be written. Ask an administrator.")

logger = structlog.get_logger(__name__)


def create_staff_export(user: User, model: type[Model], query: str) -> StaffExport:
    """Publishes the job. Raises `Conflict` if there are `AT_ONCE` in progress."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if StaffExport.objects.filter(user=user, state__in=IN_PROGRESS).count() >= AT_ONCE:
            raise Conflict(_("Three of your exports are being prepared. Wait until one is done."))
        label = model._meta.label_lower  # noqa: SLF001  # Django documents it
        job = StaffExport.objects.create(user=user, kind=label, query=query)
        transfers.publish(transfers.STAFF_EXPORT_TASK, job.pk)
    logger.info("staff_export_created", job=str(job.pk), user_id=str(user.pk), kind=label)
    return job


def fetch_staff_export(user_id: uuid.UUID, job_id: uuid.UUID) -> StaffExport:
    """An export whose file is still there, marked as downloaded. Raises `NotFound`."""
    job = transfers.downloadable(StaffExport, user_id, job_id)
    StaffExport.objects.filter(pk=job.pk, fetched_at=None).update(fetched_at=Now())
    return job


def run_staff_export(job_id: uuid.UUID, is_stopping: Callable[[], bool] = lambda: False) -> None:
    """Makes an export, in a worker. `is_stopping`: the worker is to end; another one begins anew then."""
    job = transfers.claim(StaffExport, job_id)
    if job is None:
        return
    try:
        with tempfile.TemporaryFile() as made:
            rows = _write(job, made, is_stopping)
            if rows is None:
                transfers.give_back(job)
                return
            size = made.tell()
            made.seek(0)
            name = default_storage.save(f"exports/{job.pk.hex[-2:]}/{job.pk}-{job.attempt}.csv", File(made))
    except transfers.ClaimLostError:
        logger.info("staff_export_claim_lost", job=str(job_id))
        return
    except PermissionError:
        transfers.end(job, TransferState.FAILED, error=NOT_ALLOWED)
        return
    except OSError as error:
        logger.exception("staff_export_not_written", job=str(job_id), error=type(error).__name__)
        transfers.end(job, TransferState.FAILED, error=NOT_WRITTEN)
        return
    expires_at = timezone.now() + timedelta(days=settings.EXPORT_DAYS)
    if transfers.end(job, TransferState.DONE, file=name, size=size, done=rows, total=rows, expires_at=expires_at):
        logger.info("staff_export_ended", job=str(job_id), rows=rows, bytes=size)
    else:
        default_storage.delete(name)  # it was deleted meanwhile, or another worker was faster


def _write(job: StaffExport, made: Any, is_stopping: Callable[[], bool]) -> int | None:
    """Writes the file and returns how many rows it has; None if the worker is to end.

    Raises `ClaimLostError`, `OSError`, and `PermissionError` if its user may not export the list any more.
    """
    admin.autodiscover()  # workers do not load the admin until there is an export to make
    request = HttpRequest()
    request.method, request.GET, request.user = "GET", QueryDict(job.query), job.user
    file = list_file(request, apps.get_model(job.kind)) if job.user.is_active and job.user.is_staff else None
    if file is None:
        raise PermissionError
    rows, shown = 0, time.monotonic()

    def counted() -> Any:
        nonlocal rows, shown
        for page in file.pages:
            lines = list(page)
            rows += len(lines)
            yield lines
            release_connections()
            if time.monotonic() - shown > BEAT_SECONDS:
                transfers.beat(job, done=rows)
                shown = time.monotonic()

    for piece in csv_pieces(file.columns, counted(), bom=file.bom):
        made.write(piece.encode(errors="replace"))
        if is_stopping():
            return None
    return rows
