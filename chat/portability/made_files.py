"""How a worker makes the file of an export: claims the row, writes the file, stores it, and ends the row."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import IO, Any, Final, TypeVar

import structlog
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.utils import timezone

from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from chat.models import ExportJob, StaffExport, TransferState
from chat.portability import transfers
from chat.protocol.errors import Unavailable

NOT_WRITTEN: Final = gettext_noop("The file could not be written. Ask an administrator.")

E = TypeVar("E", ExportJob, StaffExport)
logger = structlog.get_logger(__name__)


class StoppingError(Exception):
    """The worker is to end; another one begins the export anew."""


class RefusedError(Exception):
    """The export may not be made: a sentence for whoever wants it."""


def make_file(model: type[E], job_id: uuid.UUID, suffix: str, write: Callable[[E, IO[bytes]], dict[str, Any]]) -> None:
    """Makes the file of an export with `write(job, file)`, which returns columns of the ended row.

    `write` may raise `StoppingError`, `RefusedError`, `transfers.ClaimLostError`, `OSError` and `Unavailable`.
    """
    job = transfers.claim(model, job_id)
    if job is None:
        return
    log = logger.bind(kind=model.__name__, job=str(job_id))
    try:
        with tempfile.TemporaryFile() as made:
            columns = write(job, made)
            size = made.tell()
            made.seek(0)
            name = default_storage.save(f"exports/{job.pk.hex[-2:]}/{job.pk}-{job.attempt}.{suffix}", File(made))
    except StoppingError:
        transfers.give_back(job)
    except transfers.ClaimLostError:
        log.info("export_claim_lost")
    except RefusedError as error:
        transfers.end(job, TransferState.FAILED, error=str(error))
    except (OSError, Unavailable) as error:
        log.exception("export_not_written", error=type(error).__name__)
        transfers.end(job, TransferState.FAILED, error=NOT_WRITTEN)
    except OUTAGE:
        raise  # it is claimed again when that is over
    except Exception as error:
        log.exception("export_failed", error=type(error).__name__)
        transfers.end(job, TransferState.FAILED, error=transfers.UNEXPECTED)
    else:
        expires_at = timezone.now() + timedelta(days=settings.EXPORT_DAYS)
        if transfers.end(job, TransferState.DONE, file=name, size=size, expires_at=expires_at, **columns):
            log.info("export_ended", bytes=size, **columns)
        else:
            default_storage.delete(name)  # it was deleted meanwhile, or another worker was faster
