"""What is kept for how long, and the end of what is not (settings KEEP_*).

Each kind goes in small batches, each a transaction of its own that skips what somebody else holds: nothing waits for
it, and one that was interrupted just goes on the next time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import redis
import structlog
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.models import Session
from chat import log
from chat.models import Conversation, Recording, RecordingStatus, Submission

ENDED: Final = (RecordingStatus.DONE, RecordingStatus.CANCELLED, RecordingStatus.FAILED)
logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Kind:
    """`over` are the rows whose time is over, `batch` how many of them go at a time."""

    name: str
    over: Callable[[], QuerySet[Any]]
    batch: int


@dataclass(frozen=True)
class Progress:
    kind: str
    done: int
    total: int  # counted at the start; others may come or be brought back meanwhile


def _before(days: int) -> Any:
    return Now() - timedelta(days=days)


KINDS: Final = (
    # Few at a time: one may have thousands of messages.
    Kind("conversations", lambda: Conversation.objects.filter(deleted_at__lt=_before(settings.KEEP_DELETED_DAYS)), 10),
    Kind("sessions", lambda: Session.objects.filter(expire_date__lt=Now()), 500),
    Kind("submissions", lambda: Submission.objects.filter(created_at__lt=_before(settings.KEEP_SUBMISSION_DAYS)), 500),
    Kind(
        "recordings",
        lambda: Recording.objects.filter(status__in=ENDED, created_at__lt=_before(settings.KEEP_RECORDING_DAYS)),
        200,
    ),
)


def count() -> dict[str, int]:
    """How many rows of each kind have had their time."""
    return {kind.name: kind.over().count() for kind in KINDS}


def purge() -> Generator[Progress, None, None]:
    """Deletes them, and says after each batch how far it is. Stopping the iteration stops the purge."""
    for kind in KINDS:
        total, done = kind.over().count(), 0
        while gone := _delete_some(kind):
            done += gone
            yield Progress(kind.name, done, total)


def _delete_some(kind: Kind) -> int:
    """One batch. The rows are locked and asked again, so what is brought back at this moment stays."""
    with transaction.atomic():
        rows = kind.over().select_for_update(skip_locked=True, of=("self",)).order_by("pk")[: kind.batch]
        ids = [row.pk for row in rows]
        if ids:
            kind.over().model.objects.filter(pk__in=ids).delete()
    if kind.name == "conversations":
        drop_logs(ids)
    return len(ids)


def drop_logs(conversations: list[uuid.UUID]) -> None:
    """Deletes the conversations' logs. Without Redis they end by themselves (`chat.log`)."""

    async def drop() -> None:
        for one in conversations:
            keys = (log.stream_key(one), log.meta_key(one))
            await log.channel_layer().group_execute(log.group_name(one), "DEL", *keys)

    try:
        async_to_sync(drop)()
    except (redis.RedisError, OSError) as error:
        logger.warning("logs_not_dropped", error=type(error).__name__, conversations=len(conversations))
