"""The end of what has had its time (docs/operations.md, "What is kept").

Each kind goes in small batches, each a transaction of its own that skips what somebody else holds, with a pause after
it: nothing waits for it, and one that was interrupted just goes on the next time. Answers under way are never taken
from under their workers: a conversation with one is passed over.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import redis
import structlog
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Session
from chat.eventlog import store
from chat.eventlog.user_events import notify_conversation_listed
from chat.models import ACTIVE, Conversation, Member, Recording, RecordingStatus, Run, Submission
from chat.retention.periods import AGE, TEMPORARY, TRASH, past
from chat.voice import audio_files
from chat.voice.audio_files import delete_audio

ENDED: Final = (RecordingStatus.DONE, RecordingStatus.CANCELLED, RecordingStatus.FAILED)
PAUSE_SECONDS: Final = 0.05  # after each batch: others first
logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Kind:
    """Rows that go for one reason. `over` are those whose time is over at a moment, `batch` how many go at a time."""

    name: str
    reason: str
    over: Callable[[datetime], QuerySet[Any]]
    batch: int
    end: Callable[[QuerySet[Any]], object] = QuerySet.delete


@dataclass(frozen=True)
class Progress:
    kind: str
    done: int
    total: int  # counted at the start; others may come or be brought back meanwhile


def _trash(now: datetime) -> QuerySet[Conversation]:
    return past(TRASH, _idle().exclude(deleted_at=None), now)


def _temporary(now: datetime) -> QuerySet[Conversation]:
    return past(TEMPORARY, _idle().filter(temporary=True), now).exclude(pk__in=_trash(now).values("pk"))


def _aged(now: datetime) -> QuerySet[Conversation]:
    """A pin keeps a conversation, though not one that was deleted."""
    rows = _idle().filter(temporary=False).exclude(pinned_at__isnull=False, deleted_at=None)
    return past(AGE, rows, now).exclude(pk__in=_trash(now).values("pk"))


def _idle() -> QuerySet[Conversation]:
    return Conversation.objects.filter(~Exists(Run.objects.filter(conversation=OuterRef("pk"), status__in=ACTIVE)))


# Few conversations at a time: one may have thousands of messages.
KINDS: Final = (
    Kind("trash", "conversations deleted longer ago than their owner's plan keeps them", _trash, 10),
    Kind("temporary", "temporary conversations past their hours", _temporary, 10),
    Kind("age", "conversations nobody touched for longer than their owner's plan keeps them", _aged, 10),
    Kind("sessions", "sessions that have expired", lambda now: Session.objects.filter(expire_date__lt=now), 500),
    Kind(
        "submissions",
        "memory of sends older than KEEP_SUBMISSION_DAYS",
        lambda now: Submission.objects.filter(created_at__lt=now - timedelta(days=settings.KEEP_SUBMISSION_DAYS)),
        500,
    ),
    Kind("audio", "speech kept as audio for as long as its speaker's plan says", audio_files.over, 50, delete_audio),
    Kind(
        "recordings",
        "words of recordings older than KEEP_RECORDING_DAYS, and whose audio is gone",
        lambda now: Recording.objects.filter(
            status__in=ENDED, audio="", created_at__lt=now - timedelta(days=settings.KEEP_RECORDING_DAYS)
        ),
        200,
    ),
)


def _now() -> datetime:
    """By the database's clock: a machine whose own runs ahead must not take a year for a day."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def count() -> dict[str, int]:
    """How many rows of each kind have had their time. A row is of one kind: the first that fits."""
    now = _now()
    return {kind.name: kind.over(now).count() for kind in KINDS}


def purge() -> Generator[Progress, None, None]:
    """Deletes them, and says after each batch how far it is. Stopping the iteration stops the purge."""
    now = _now()
    for kind in KINDS:
        total, done = kind.over(now).count(), 0
        last: Any = None
        while total:
            last, gone = _delete_some(kind, now, last)
            if last is None:
                break
            done += gone
            yield Progress(kind.name, done, total)
            time.sleep(PAUSE_SECONDS)


def _delete_some(kind: Kind, now: datetime, last: Any) -> tuple[Any, int]:
    """One batch after the row `last`: the last row looked at, None at the end, and how many went.

    The rows are locked and then asked again: whoever sent a message, brought a conversation back or pinned it while
    this looked for rows has it still, and whoever comes now waits for this transaction and finds nothing.
    """
    told: list[tuple[uuid.UUID, uuid.UUID]] = []
    with transaction.atomic():
        rows = kind.over(now).order_by("pk")
        if last is not None:
            rows = rows.filter(pk__gt=last)
        locked = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[: kind.batch])
        if not locked:
            return None, 0
        ids = list(kind.over(now).filter(pk__in=locked).values_list("pk", flat=True))
        doomed = kind.over(now).model.objects.filter(pk__in=ids)
        if doomed.model is Conversation:
            members = Member.objects.filter(conversation__in=ids, conversation__deleted_at=None)
            told = list(members.values_list("conversation_id", "user_id"))
        kind.end(doomed)
    if doomed.model is Conversation:
        drop_logs(ids, told)
    return locked[-1], len(ids)


def drop_logs(conversations: list[uuid.UUID], told: list[tuple[uuid.UUID, uuid.UUID]] | None = None) -> None:
    """Deletes the conversations' logs, and tells the (conversation, member) pairs' open tabs that they are gone.

    Without Redis the logs end by themselves (`chat.eventlog.store`), and tabs see it when they next load.
    """

    async def drop() -> None:
        for one in conversations:
            keys = (store.stream_key(one), store.meta_key(one))
            await store.channel_layer().group_execute(store.group_name(one), "DEL", *keys)
        for one, member in told or ():
            await notify_conversation_listed(member, {"conversation_id": str(one), "title": "", "deleted": True})

    try:
        async_to_sync(drop)()
    except (redis.RedisError, OSError) as error:
        logger.warning("logs_not_dropped", error=type(error).__name__, conversations=len(conversations))
