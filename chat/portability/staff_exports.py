"""Exports of the admin's lists as CSV files, made in the background and kept for a while."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.apps import apps
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.db.models.functions import Now
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from accounts.lib.db import release_connections
from accounts.lib.streaming import csv_pieces
from accounts.lib.texts import gettext_noop
from accounts.models import User
from accounts.staff.background import list_file
from chat.models import StaffExport
from chat.models.transfers import IN_PROGRESS
from chat.portability import made_files, transfers
from chat.protocol.errors import Conflict

AT_ONCE: Final = 3  # exports of one member of staff in progress
BEAT_SECONDS: Final = 1.0
NOT_ALLOWED: Final = gettext_noop("You don’t have permission to export this list any more.")

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
    made_files.make_file(StaffExport, job_id, "csv", lambda job, made: _write(job, made, is_stopping))


def _write(job: StaffExport, made: Any, is_stopping: Callable[[], bool]) -> dict[str, int]:
    """Writes the file and counts its rows. Raises `StoppingError`, `ClaimLostError`, `OSError`, and `RefusedError` if
    its user may not export the list any more.
    """
    admin.autodiscover()  # workers do not load the admin until there is an export to make
    request = HttpRequest()
    request.method, request.GET, request.user = "GET", QueryDict(job.query), job.user
    file = list_file(request, apps.get_model(job.kind)) if job.user.is_active and job.user.is_staff else None
    if file is None:
        raise made_files.RefusedError(NOT_ALLOWED)
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
            raise made_files.StoppingError
    return {"done": rows, "total": rows}
