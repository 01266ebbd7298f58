"""The rows of a waiting line: how they are locked, and changed so that the event log is told."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.db.models.functions import Now

from accounts.lib.texts import gettext_noop
from chat.conversations.membership import check_may_write, member_of
from chat.models import Conversation, Member, QueuedMessage, QueuedState
from chat.protocol.errors import Forbidden, NotFound
from chat.telemetry import metrics

GONE: Final = gettext_noop("This message is no longer waiting: it was sent or removed.")
NOT_YOURS: Final = gettext_noop("Only its author can change a message that waits.")


def waiting_rows(conversation_id: uuid.UUID) -> list[QueuedMessage]:
    """The line, first message first, with the authors."""
    rows = QueuedMessage.objects.select_related("author").filter(
        conversation_id=conversation_id, state=QueuedState.WAITING
    )
    return list(rows.order_by("position", "id"))


def lock(conversation_id: uuid.UUID) -> Conversation:
    """The conversation, locked until the transaction ends: its line changes under this lock only. Raises `NotFound`."""
    rows = Conversation.objects.select_for_update(no_key=True, of=("self",))
    found = rows.filter(pk=conversation_id, deleted_at=None).first()
    if found is None:
        raise NotFound
    return found


def revise(row: QueuedMessage, **fields: Any) -> None:
    """Changes a row whose conversation is locked, and notes that the event log must be told."""
    for name, value in fields.items():
        setattr(row, name, value)
    row.revision += 1
    # By the database's clock, with which recovery compares it (`line_state.overdue_lines`).
    QueuedMessage.objects.filter(pk=row.pk).update(**fields, revision=row.revision, changed_at=Now())


def discard(row: QueuedMessage) -> None:
    """Removes a message from the line. Its row stays for a while, without the text."""
    revise(row, state=QueuedState.REMOVED, text="", shown="", command={}, reason="", sentence="", retry_at=None)
    metrics.waiting_line["removed"] += 1


def lock_row(message_id: uuid.UUID) -> QueuedMessage:
    """A message that waits, with its conversation locked. Raises `NotFound` with a sentence."""
    waiting = QueuedMessage.objects.filter(pk=message_id, state=QueuedState.WAITING)
    conversation_id = waiting.values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound(GONE)
    lock(conversation_id)
    row = waiting.select_related("conversation").first()
    if row is None:
        raise NotFound(GONE)
    return row


def lock_own(user_id: uuid.UUID, message_id: uuid.UUID) -> QueuedMessage:
    """One's own message that waits, with its conversation locked. Raises `ChatError`s."""
    row = lock_row(message_id)
    if row.author_id != user_id:
        if not Member.objects.filter(user_id=user_id, conversation_id=row.conversation_id).exists():
            raise NotFound(GONE)
        raise Forbidden(NOT_YOURS)
    member_of(user_id, row.conversation_id, write=True)
    check_may_write(user_id)
    return row
