"""Permanently deletes expired data (docs/operations.md).

The ids of each kind are chosen once, and deleted in batches. A batch is a transaction of its own that skips locked
rows. With what depends on them it deletes about `ROWS` rows, so whoever waits for one waits for milliseconds. The kinds
take turns of `TURN_SECONDS`: none keeps the others waiting. A purge that is interrupted continues the next time.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import redis
import structlog
from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import QuerySet

from accounts.lib.db import QueryTimeoutError, statement_timeout
from chat.eventlog import store
from chat.eventlog.user_events import notify_conversation_listed
from chat.models import Conversation, Member
from chat.retention.cascade import delete_rows
from chat.retention.kinds import KINDS, PurgeKind
from chat.runs.clock import database_time

__all__ = ["KINDS", "Backlog", "Progress", "backlog", "count", "delete_event_logs", "purge"]

CHOSEN: Final = 50_000  # ids of a kind in memory
ROWS: Final = 500  # of all tables in a transaction: they take 30 to 50 ms. A time would depend on the machine's load
TURN_SECONDS: Final = 1.0  # of one kind, before the next one's turn
REST: Final = 0.1  # of a batch's time is waited after it, for other transactions
COUNT_SECONDS: Final = 10.0  # for the backlog of all kinds
# How long the oldest expired row has been so at least: one of these.
OVERDUE: Final = tuple(timedelta(hours=hours) for hours in (2, 6, 24, 72, 168, 720))
AT_ONCE: Final = 200  # event logs that are deleted at once

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Progress:
    kind: str
    done: int
    total: int  # counted at the start; rows may be added or restored meanwhile


@dataclass(frozen=True)
class Backlog:
    """What is expired and still there: rows, and for how many seconds the oldest has been expired at least."""

    rows: int
    overdue_seconds: float


def count() -> dict[str, int]:
    """How many rows of each kind are expired. A row is counted for the first kind that fits."""
    now = database_time()  # this machine's clock may be wrong, and would then delete too much
    return {kind.name: kind.expired(now).count() for kind in KINDS}


def backlog(seconds: float = COUNT_SECONDS) -> dict[str, Backlog]:
    """What is expired and still there, by kind; without kinds that have none or were not counted within `seconds`.

    Raises a database error.
    """
    now, ends = database_time(), time.monotonic() + seconds
    found = {}
    for kind in KINDS:
        if (left := ends - time.monotonic()) <= 0:
            break
        with suppress(QueryTimeoutError), statement_timeout(left):
            if rows := kind.expired(now).count():
                found[kind.name] = Backlog(rows, _overdue(kind, now))
    return found


def _overdue(kind: PurgeKind, now: datetime) -> float:
    found = timedelta()
    for step in OVERDUE if kind.by_time else ():
        if not kind.expired(now - step).exists():
            break
        found = step
    return found.total_seconds()


def purge() -> Generator[Progress, None, None]:
    """Deletes expired rows, and yields its progress after each batch. Ending the iteration ends the purge."""
    now = database_time()  # this machine's clock may be wrong, and would then delete too much
    works = [_Work(kind, now) for kind in KINDS]
    yield from _in_turns(works)
    yield from _in_turns([work for work in works if not work.kind.by_time])


def _in_turns(works: list[_Work]) -> Iterator[Progress]:
    fresh, waiting = set(works), list(works)
    while waiting:
        for work in list(waiting):
            if work in fresh:
                work.choose()
                fresh.remove(work)
            ends = time.monotonic() + TURN_SECONDS
            work.look_again()
            while work.is_left:
                yield from work.delete_batch()
                if time.monotonic() >= ends:
                    break
            if not work.is_left:
                waiting.remove(work)


class _Work:
    """What is left of a kind in this purge."""

    def __init__(self, kind: PurgeKind, now: datetime) -> None:
        self.kind, self.now, self.size, self.done, self.total = kind, now, kind.batch, 0, 0
        self._last: Any = None
        self._ids: list[Any] = []
        self.look_again()

    def look_again(self) -> None:
        """Reads which plans there are: what is expired goes by the plans at the beginning of each turn."""
        self._expired = self.kind.expired(self.now)

    def choose(self) -> None:
        """Chooses ids from the beginning, and counts."""
        self._last = None
        self._choose()
        found = len(self._ids)
        self.total = self.done + (found if found < CHOSEN else self._expired.count())

    @property
    def is_left(self) -> bool:
        return bool(self._ids)

    def _choose(self) -> None:
        """The next ids, in descending order, to be taken from the end of the list."""
        rows = self._expired.order_by("pk")
        if self._last is not None:
            rows = rows.filter(pk__gt=self._last)
        self._ids = list(rows.values_list("pk", flat=True)[:CHOSEN])[::-1]
        self._last = self._ids[0] if len(self._ids) == CHOSEN else None

    def delete_batch(self) -> Iterator[Progress]:
        """Deletes the next ids; yields the progress, unless nothing could be deleted."""
        chosen, self._ids = self._ids[-self.size :][::-1], self._ids[: -self.size]
        began = time.monotonic()
        gone, members, rows = _delete_some(self.kind, self._expired, chosen)
        seconds = time.monotonic() - began
        if self.kind.delete is None and gone:
            self.size = max(1, min(ROWS, 4 * self.size, len(gone) * ROWS // max(rows, 1)))
        if self._expired.model is Conversation and gone:
            delete_event_logs(gone, members)
        if not self._ids and self._last is not None:
            self._choose()
        if gone:
            self.done += len(gone)
            yield Progress(self.kind.name, self.done, self.total)
        time.sleep(REST * seconds)


def _delete_some(
    kind: PurgeKind, expired: QuerySet[Any], chosen: list[Any]
) -> tuple[list[Any], list[tuple[Any, Any]], int]:
    """Deletes those of `chosen` that are still expired and that nobody holds. Returns their ids; of conversations that
    members still have in their lists the pairs (conversation, member); and how many rows of all tables were deleted.

    The rows are locked and then selected again, so that a conversation that was used, restored or pinned meanwhile is
    kept. Whoever uses one from then on waits for this transaction and finds nothing.
    """
    members: list[tuple[Any, Any]] = []
    with transaction.atomic():
        rows = expired.model.objects.filter(pk__in=chosen).order_by("pk")
        locked = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True))
        ids = list(expired.filter(pk__in=locked).values_list("pk", flat=True))
        if not ids:
            return [], [], 0
        model = rows.model
        if model is Conversation:
            listed = Member.objects.filter(conversation__in=ids, conversation__deleted_at=None)
            members = list(listed.values_list("conversation_id", "user_id"))
        count = len(ids)
        if kind.delete is None:
            count = delete_rows(model, ids)
        else:
            kind.delete(model.objects.filter(pk__in=ids))
    return ids, members, count


def delete_event_logs(conversations: list[uuid.UUID], members: list[tuple[uuid.UUID, uuid.UUID]] | None = None) -> None:
    """Deletes the conversations' event logs, and notifies the open tabs of the (conversation, member) pairs.

    Without Redis the logs expire by themselves (`chat.eventlog.store`), and tabs see the deletion when they next load.
    """

    async def drop() -> None:
        for first in range(0, len(conversations), AT_ONCE):
            await asyncio.gather(*map(_drop_log, conversations[first : first + AT_ONCE]))
        for one, member in members or ():
            await notify_conversation_listed(member, {"conversation_id": str(one), "title": "", "deleted": True})

    try:
        async_to_sync(drop)()
    except (redis.RedisError, OSError) as error:
        logger.warning("event_logs_not_deleted", error=type(error).__name__, conversations=len(conversations))


async def _drop_log(conversation: uuid.UUID) -> None:
    layer, group = store.channel_layer(), store.group_name(conversation)
    await layer.group_execute(group, "DEL", store.stream_key(conversation), store.meta_key(conversation))
    await layer.group_send(group, {"type": "share.check"})
