"""What imports, exports and exports of lists in the background have in common: a claim, heartbeats, and their files.

A worker claims a row by raising its `attempt`. Each heartbeat names that attempt, so a worker whose claim was taken
over finds out and stops. A row without a heartbeat for `LOST_SECONDS` is claimed again: both kinds of work may be
repeated.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from asgiref.sync import async_to_sync
from celery import current_app
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from chat.eventlog.user_events import notify_transfer
from chat.jobs.queues import FILES_QUEUE, BrokerAway
from chat.models import ExportJob, ImportJob, StaffExport, TransferState
from chat.protocol.errors import NotFound

IMPORT_TASK: Final = "workers.transfers.import"
EXPORT_TASK: Final = "workers.transfers.export"
STAFF_EXPORT_TASK: Final = "workers.transfers.staff_export"
LOST_SECONDS: Final = 180.0  # without a heartbeat of the worker
NOT_PUBLISHED_SECONDS: Final = 30.0  # a row waits so long before it is published again
MAX_ATTEMPTS: Final = 5
FAILED_TOO_OFTEN: Final = gettext_noop(
    "It was interrupted several times. Try again; if that happens again, ask an administrator."
)
UNEXPECTED: Final = gettext_noop("Something went wrong on the server. Try again.")

Job = ImportJob | ExportJob | StaffExport
TASKS: Final[dict[type[Job], str]] = {
    ImportJob: IMPORT_TASK, ExportJob: EXPORT_TASK, StaffExport: STAFF_EXPORT_TASK,
}  # fmt: skip
J = TypeVar("J", ImportJob, ExportJob, StaffExport)
E = TypeVar("E", ExportJob, StaffExport)
logger = structlog.get_logger(__name__)


class ClaimLostError(Exception):
    """Another worker has the row now, or it was deleted."""


def publish(task: str, job_id: uuid.UUID) -> None:
    """Publishes the job once the transaction is committed. Without a broker, `publish_waiting` does it later."""

    def send() -> None:
        try:
            current_app.send_task(task, args=[str(job_id)], queue=FILES_QUEUE, retry=False, ignore_result=True)
        except (BrokerAway, *OUTAGE) as error:
            logger.warning("enqueue_failed", task=task, job=str(job_id), error=type(error).__name__)

    transaction.on_commit(send)


def publish_waiting() -> int:
    """Publishes again what nobody has claimed and what a lost worker left; returns how many. What was interrupted too
    often fails. Called every minute.
    """
    now = timezone.now()
    waiting = Q(state=TransferState.WAITING, beat_at__lt=now - timedelta(seconds=NOT_PUBLISHED_SECONDS))
    lost = Q(state=TransferState.RUNNING, beat_at__lt=now - timedelta(seconds=LOST_SECONDS))
    count = 0
    for model, task in TASKS.items():
        for job in model._default_manager.filter(waiting | lost):  # noqa: SLF001  # Django documents it
            if job.attempt >= MAX_ATTEMPTS:
                end(job, TransferState.FAILED, error=FAILED_TOO_OFTEN)
            else:
                publish(task, job.pk)
                count += 1
    return count


def claim(model: type[J], job_id: uuid.UUID) -> J | None:
    """The row, claimed; None where there is nothing to do: it has ended, or another worker has it."""
    lost = Q(state=TransferState.RUNNING, beat_at__lt=Now() - timedelta(seconds=LOST_SECONDS))
    rows = model.objects.filter(Q(state=TransferState.WAITING) | lost, pk=job_id)
    if not rows.update(state=TransferState.RUNNING, attempt=F("attempt") + 1, beat_at=Now()):
        return None
    return model.objects.select_related("user").filter(pk=job_id).first()


def delete_of(model: type[J], user_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """Deletes a job of a user, with its file. One in progress ends. Raises `NotFound`."""
    deleted, _counts = model._default_manager.filter(user=user_id, pk=job_id).delete()  # noqa: SLF001
    if not deleted:
        raise NotFound


def downloadable(model: type[E], user_id: uuid.UUID, job_id: uuid.UUID) -> E:
    """An export of a user whose file is still there. Raises `NotFound`."""
    rows = model._default_manager.filter(  # noqa: SLF001
        user=user_id, pk=job_id, state=TransferState.DONE, expires_at__gt=Now()
    )
    if (job := rows.exclude(file="").first()) is None:
        raise NotFound
    return job


def beat(job: Job, **fields: Any) -> None:
    """Writes `fields` and a heartbeat, and shows the user's pages how far it is. Raises `ClaimLostError`."""
    if not _claimed(job, TransferState.RUNNING).update(beat_at=Now(), **fields):
        raise ClaimLostError
    job.done, job.total = fields.get("done", job.done), fields.get("total", job.total)
    if "done" in fields or "total" in fields:
        _announce(job, TransferState.RUNNING)


def _announce(job: Job, state: TransferState) -> None:
    if isinstance(job, StaffExport):
        return  # staff's page asks
    kind = "import" if isinstance(job, ImportJob) else "export"
    async_to_sync(notify_transfer)(job.user_id, job.pk, kind, state, job.done, job.total)


def give_back(job: Job) -> None:
    """The worker stops: the next one goes on."""
    with transaction.atomic():
        if _claimed(job, TransferState.RUNNING).update(
            state=TransferState.WAITING, attempt=F("attempt") - 1, beat_at=Now()
        ):
            publish(TASKS[type(job)], job.pk)


def end(job: Job, state: TransferState, **fields: Any) -> bool:
    """Ends the attempt of `job`, and deletes the file of an import. False if it has ended already."""
    with transaction.atomic():
        rows = _claimed(job, TransferState.WAITING, TransferState.RUNNING)
        if isinstance(job, ImportJob):
            fields["file"] = ""
        if not rows.update(state=state, ended_at=Now(), **fields):
            return False
        if isinstance(job, ImportJob):
            _delete_when_committed(str(job.file))
        job.done = fields.get("done", job.done)
        transaction.on_commit(partial(_announce, job, state), robust=True)
    return True


def _claimed(job: Job, *states: TransferState) -> QuerySet[Any]:
    """The row, while this attempt counts and it is in one of these states."""
    return type(job)._default_manager.filter(pk=job.pk, attempt=job.attempt, state__in=states)  # noqa: SLF001


def delete_transfer_file(sender: type[Job], instance: Job, **_: Any) -> None:
    """For the signal `post_delete`: deletes the file of a deleted row."""
    _delete_when_committed(str(instance.file))


def _delete_when_committed(name: str) -> None:
    if name:
        transaction.on_commit(partial(default_storage.delete, name), robust=True)
