"""Messages that wait for their turn, as events of the log and in snapshots (docs/protocol.md §2)."""

from __future__ import annotations

import uuid
from typing import Any

from chat.eventlog.events import Event
from chat.files.payloads import file_dict, files_of_queued
from chat.models import QueuedMessage
from chat.protocol.frames import encode_event


def queued_dict(row: QueuedMessage) -> dict[str, Any]:
    """A message that waits, as sent to clients. `row.author` should be loaded.

    `text` lacks what rules of moderation mask. `reason` and `message` say why it goes on waiting; null: for its turn.
    """
    chosen = row.command.get("model")
    shown = {
        "id": str(row.pk),
        "author": {"id": str(row.author_id), "name": row.author.display_name},
        "client_id": str(row.client_id),
        "after_id": str(row.after_id) if row.after_id else None,
        "text": row.shown or row.text,
        "models": row.command.get("models") or ([chosen] if chosen else []),
        "position": row.position,
        "revision": row.revision,
        "steers": row.steers,
        "reason": row.reason or None,
        "message": row.sentence or None,
        "created_at": row.created_at.isoformat(),
    }
    if row.command.get("attachments"):
        shown["files"] = [file_dict(file) for file in files_of_queued(row)]
    return shown


def message_queued(row: QueuedMessage) -> Event:
    """A message waits, or something about it has changed. `row.author` should be loaded."""
    conversation_id = str(row.conversation_id)
    return encode_event(
        {"type": "message.queued", "conversation_id": conversation_id, "message": queued_dict(row)}
    ), False


def message_unqueued(conversation_id: uuid.UUID, message_id: uuid.UUID, reason: str) -> Event:
    """A message waits no more: it was `sent` or `removed`."""
    event = {
        "type": "message.unqueued",
        "conversation_id": str(conversation_id),
        "message_id": str(message_id),
        "reason": reason,
    }
    return encode_event(event), False
