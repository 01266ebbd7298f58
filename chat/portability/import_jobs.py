"""Imports that people start on their settings: an uploaded file, which a worker reads, with progress and a report."""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import DatabaseError, IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.lib import rate_limit
from accounts.lib.formatting import grouped
from accounts.lib.outage import OUTAGE
from accounts.models import User
from accounts.suspension import is_suspended
from chat.conversations.trashing import trash_made
from chat.eventlog.html_requests import notify_of_import
from chat.eventlog.user_events import notify_list_changed
from chat.files.quota import check_room, limits_of
from chat.models import Conversation, ImportedConversation, ImportJob, TransferState
from chat.portability import refusals, transfers
from chat.portability.import_file import ImportFile, read_file
from chat.portability.imported_collections import CollectionOutcome, import_collections, remove_unchanged
from chat.portability.importer import ImportOutcome, import_conversations
from chat.portability.json_stream import ImportRefusedError
from chat.portability.message_tree import clean_text
from chat.protocol.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited, TooLarge, Unavailable

REPORTED: Final = 1_000  # of the refused ones, which are named in the report
BEAT_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.01  # after each batch, for the answers that the same worker writes

logger = structlog.get_logger(__name__)


def check_import(user: User, name: str, size: int) -> None:
    """Whether the user may import a file of `size` bytes now. Raises `Forbidden`, `Invalid`, `TooLarge`, `Conflict`,
    `QuotaExceeded`, `RateLimited`. The file counts in the user's storage until the import ends.
    """
    if not settings.IMPORT_MAX_MB:
        raise Forbidden(_("Imports are switched off on this site."))
    if is_suspended(user):
        raise Forbidden(_("Your account is suspended. You can import again when that has ended."))
    if not name or not size:
        raise Invalid(_("Choose a file that is not empty."))
    if size > settings.IMPORT_MAX_MB * 2**20:
        said = _("This file has %(size)s MB; at most %(most)s MB can be imported.")
        raise TooLarge(said % {"size": grouped(math.ceil(size / 2**20)), "most": grouped(settings.IMPORT_MAX_MB)})
    if ImportJob.objects.filter(user=user, state__in=(TransferState.WAITING, TransferState.RUNNING)).exists():
        raise Conflict(_("One of your imports is still in progress. Wait until it’s finished, or cancel it."))
    check_room(user.pk, size, limits_of(user.pk))
    limits = rate_limit.required_limits((f"imports:{user.pk.hex}", settings.RATE_IMPORTS))
    if wait := rate_limit.try_acquire(limits):
        raise RateLimited(_("You have imported too many files for now. Try again later."), retry_after=math.ceil(wait))


def create_import(user: User, upload: File[bytes]) -> ImportJob:
    """Stores the file and publishes the job. Raises what `check_import` raises, and `OSError`."""
    name = " ".join(clean_text(upload.name or "").split())[-200:]
    check_import(user, name, upload.size or 0)
    job = ImportJob(user=user, name=name, size=upload.size or 0)
    job.file = default_storage.save(f"imports/{job.pk.hex[-2:]}/{job.pk}", upload)
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            transfers.publish(transfers.IMPORT_TASK, job.pk)
    except IntegrityError:  # another tab was faster
        default_storage.delete(str(job.file))
        raise Conflict(_("One of your imports is still in progress. Wait until it’s finished, or cancel it.")) from None
    except DatabaseError:
        default_storage.delete(str(job.file))
        raise
    logger.info("import_created", job=str(job.pk), user_id=str(user.pk), bytes=job.size)
    return job


def cancel_import(user_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """Ends an import; what it has made stays, and can be undone. Raises `NotFound`."""
    job = _own(user_id, job_id)
    if job.state == TransferState.WAITING and transfers.end(job, TransferState.CANCELLED):
        return
    ImportJob.objects.filter(pk=job.pk, state=TransferState.RUNNING).update(cancel=True)


@dataclass(frozen=True, slots=True)
class Undone:
    """Conversations that are in the trash now, collections that are deleted, and those that stay."""

    conversations: int
    collections: int = 0
    kept: int = 0


def undo_import(user_id: uuid.UUID, job_id: uuid.UUID) -> Undone:
    """Moves the conversations that an import has made to the trash, and deletes the collections that nobody has changed
    or used since. Raises `NotFound`, `Conflict`.
    """
    job = _own(user_id, job_id)
    if job.in_progress:
        raise Conflict(_("This import is still in progress. Cancel it first."))
    made = list(ImportedConversation.objects.filter(job=job).values_list("conversation_id", flat=True))
    done = trash_made(user_id, made)
    removed, kept = remove_unchanged(user_id, job)
    ImportJob.objects.filter(pk=job.pk).update(state=TransferState.UNDONE)
    logger.info("import_undone", job=str(job.pk), conversations=done, collections=removed, collections_kept=kept)
    return Undone(done, removed, kept)


def _own(user_id: uuid.UUID, job_id: uuid.UUID) -> ImportJob:
    job = ImportJob.objects.filter(user=user_id, pk=job_id).first()
    if job is None:
        raise NotFound
    return job


def run_import(job_id: uuid.UUID, is_stopping: Callable[[], bool] = lambda: False) -> None:
    """Carries out an import, in a worker. `is_stopping`: the worker is to end; another one goes on then."""
    job = transfers.claim(ImportJob, job_id)
    if job is None:
        return
    try:
        state, fields = _read_and_import(job, is_stopping)
    except transfers.ClaimLostError:
        logger.info("import_claim_lost", job=str(job_id))
        return
    except WorkerStoppingError:
        transfers.give_back(job)
        return
    except ImportRefusedError as error:
        state, fields = TransferState.FAILED, {"error": clean_text(str(error))[:500]}
    except OSError as error:
        logger.exception("import_file_missing", job=str(job_id), error=type(error).__name__)
        state, fields = TransferState.FAILED, {"error": refusals.UNREADABLE}
    except Unavailable:  # logged where it happened
        state, fields = TransferState.FAILED, {"error": refusals.STORAGE_AWAY}
    except OUTAGE:
        raise  # it is claimed again when that is over
    except Exception as error:
        logger.exception("import_failed", job=str(job_id), error=type(error).__name__)
        state, fields = TransferState.FAILED, {"error": transfers.UNEXPECTED}
    if transfers.end(job, state, **fields):
        logger.info("import_ended", job=str(job_id), state=state)
        notify_of_import()
        async_to_sync(notify_list_changed)(job.user_id)


class WorkerStoppingError(Exception):
    """The worker ends."""


class _Count:
    """What has become of the conversations so far."""

    def __init__(self, job: ImportJob) -> None:
        self.numbers: Counter[str] = Counter()
        self.screened: Counter[str] = Counter()
        self.report: list[list[str]] = []
        # What an earlier attempt of this import has made is new.
        earlier = (
            ImportedConversation.objects.filter(job=job) if job.attempt > 1 else ImportedConversation.objects.none()
        )
        self.made = set(earlier.values_list("conversation_id", flat=True))
        self.known: list[uuid.UUID] = []

    def add(self, outcome: ImportOutcome) -> None:
        self.numbers["done"] += 1
        kind = "new" if outcome.kind == "known" and outcome.id in self.made else outcome.kind
        self.numbers[kind] += 1
        if kind == "new":
            self.numbers["messages"] += outcome.messages
            self.screened.update(outcome.screened)
            self.add_files(outcome)
        elif kind == "refused" and len(self.report) < REPORTED:
            self.report.append([outcome.place, outcome.reason])
        elif kind == "known" and outcome.id is not None:
            self.known.append(outcome.id)

    def add_collection(self, outcome: CollectionOutcome) -> None:
        self.numbers["collections"] += outcome.is_new
        self.add_files(outcome)

    def add_files(self, outcome: ImportOutcome | CollectionOutcome) -> None:
        self.numbers["files"] += outcome.files
        self.numbers["files_left_out"] += outcome.left_out
        for name, reason in outcome.files_report[: max(0, REPORTED - len(self.report))]:
            self.report.append([refusals.place_of_file(outcome.place, name), reason])

    def note_no_archive(self, name: str) -> None:
        """Says once why no file was imported."""
        if self.numbers["files_left_out"]:
            self.report.insert(0, [clean_text(name), refusals.FILES_NOT_HERE])

    def fields(self) -> dict[str, Any]:
        names = ("done", "new", "known", "refused", "messages", "files", "files_left_out", "collections")
        return {name: self.numbers[name] for name in names} | {"screened": dict(self.screened), "report": self.report}

    def trashed(self) -> int:
        return Conversation.objects.filter(pk__in=self.known).exclude(deleted_at=None).count()


def _read_and_import(job: ImportJob, is_stopping: Callable[[], bool]) -> tuple[TransferState, dict[str, Any]]:
    with default_storage.open(str(job.file), "rb") as file, contextlib.closing(read_file(file, name=job.name)) as chats:
        _check_number(chats)
        transfers.beat(job, total=len(chats))
        count = _Count(job)
        shown = time.monotonic()

        def show_progress() -> bool:
            """At most once in a second; whether the user has cancelled the import."""
            nonlocal shown
            if time.monotonic() - shown < BEAT_SECONDS:
                return False
            transfers.beat(job, **count.fields())
            if is_stopping():
                raise WorkerStoppingError
            time.sleep(PAUSE_SECONDS)
            shown = time.monotonic()
            return ImportJob.objects.filter(pk=job.pk, cancel=True).exists()

        def on_file() -> None:
            show_progress()  # cancelling waits for the conversation to be whole

        state = TransferState.DONE
        for outcome in import_conversations(job.user, chats, job=job, on_file=on_file):
            count.add(outcome)
            if show_progress():
                state = TransferState.CANCELLED
                break
        if state == TransferState.DONE:
            for made in import_collections(job.user, chats, on_file, job):
                count.add_collection(made)
        if not chats.archive.exists:
            count.note_no_archive(job.name)
    return state, count.fields() | {"trashed": count.trashed()}


def _check_number(chats: ImportFile) -> None:
    most = settings.IMPORT_CONVERSATIONS
    if len(chats) > most:
        raise ImportRefusedError(refusals.MANY_CONVERSATIONS % {"count": f"{len(chats):,}", "most": f"{most:,}"})
