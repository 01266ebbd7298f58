"""Publishes what has changed in a waiting line: the rows are the outbox of these events.

An event carries its row's revision as the attempt of the append (`chat.eventlog.store`): an older one that comes late
is fenced, and whichever process publishes a row again changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from accounts.lib.db import in_db
from chat.eventlog import queue_events, store
from chat.eventlog.events import Event
from chat.files.payloads import load_queued_files
from chat.models import QueuedMessage, QueuedState
from chat.protocol.commands import Position

REMOVED: Final = "removed"
SENT: Final = "sent"
AT_ONCE: Final = 200


async def publish(*conversation_ids: uuid.UUID) -> dict[uuid.UUID, store.Appended]:
    """Appends the events of rows that have changed, of these conversations; what was appended, by message id.

    Raises `redis.RedisError`; any process's recovery publishes them then.
    """
    return await _publish(await in_db(_unlogged, conversation_ids))


async def publish_left(older_than: float) -> int:
    """Publishes the rows that a process has not within so many seconds; returns how many."""
    return len(await _publish(await in_db(_unlogged, None, older_than)))


async def publish_sent(conversation_id: uuid.UUID, message_id: uuid.UUID, revision: int) -> None:
    """Appends that a message was sent: its row, which had this revision, is gone. If this event is lost, its
    `message.created` says the same.
    """
    event = queue_events.message_unqueued(conversation_id, message_id, SENT)
    await store.append(_append(conversation_id, message_id, event, revision + 1))


def before(appended: store.Appended | None) -> Position:
    """The position just before an event; one that leads to a snapshot if it was not appended now."""
    if appended is None or appended.skipped:
        return Position("", 0)
    return Position(appended.epoch, appended.seq - 1)


async def _publish(rows: Sequence[QueuedMessage]) -> dict[uuid.UUID, store.Appended]:
    if not rows:
        return {}
    appended = await store.append(*[_append(row.conversation_id, row.pk, _event(row), row.revision) for row in rows])
    await in_db(_note_logged, {row.pk: row.revision for row in rows})
    return {row.pk: one for row, one in zip(rows, appended, strict=True)}


def _append(conversation_id: uuid.UUID, message_id: uuid.UUID, event: Event, revision: int) -> store.Append:
    # From 2 on: the log refuses the first attempt of something that it does not know.
    return store.Append(conversation_id, [event], message_id, attempt=revision + 1, number=1)


def _event(row: QueuedMessage) -> Event:
    if row.state == QueuedState.REMOVED:
        return queue_events.message_unqueued(row.conversation_id, row.pk, REMOVED)
    return queue_events.message_queued(row)


def _unlogged(conversation_ids: Sequence[uuid.UUID] | None, older_than: float = 0.0) -> list[QueuedMessage]:
    rows = QueuedMessage.objects.select_related("author").filter(logged__lt=F("revision"))
    if conversation_ids is not None:
        rows = rows.filter(conversation__in=conversation_ids)
    else:
        rows = rows.filter(changed_at__lt=timezone.now() - timedelta(seconds=older_than))
    found = list(rows.order_by("changed_at", "position")[:AT_ONCE])
    load_queued_files(found)
    return found


def _note_logged(revisions: dict[uuid.UUID, int]) -> None:
    for message_id, revision in revisions.items():
        QueuedMessage.objects.filter(pk=message_id).update(logged=Greatest(F("logged"), revision))
