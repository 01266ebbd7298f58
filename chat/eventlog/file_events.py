"""Events about the files of messages (docs/protocol.md §2)."""

from __future__ import annotations

import uuid
from typing import Any

from chat.eventlog.events import Event
from chat.protocol.frames import encode_event


def file_updated(conversation_id: uuid.UUID, message_id: uuid.UUID, file: dict[str, Any]) -> Event:
    """A file of a message was read, or could not be (`chat.files.payloads.file_dict`)."""
    event = {
        "type": "file.updated",
        "conversation_id": str(conversation_id),
        "message_id": str(message_id),
        "file": file,
    }
    return encode_event(event), False
