"""Tells the people of a content that it was read: the conversations that have it, and who has it in their composer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import redis
import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import store
from chat.eventlog.file_events import file_updated
from chat.eventlog.user_events import notify_user
from chat.files.payloads import file_dict, shows_files
from chat.models import Attachment, File

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """A file, and where it is: in messages of a conversation, or in its owner's composer."""

    file: dict[str, Any]
    owner_id: uuid.UUID | None
    places: list[tuple[uuid.UUID, uuid.UUID]]  # (conversation, message)


async def announce_read(blob_id: uuid.UUID) -> None:
    """Raises nothing: what is lost is in the next snapshot."""
    try:
        for told in await in_db(_read, blob_id):
            for conversation_id, message_id in told.places:
                event = file_updated(conversation_id, message_id, told.file)
                await store.append(store.Append(conversation_id, [event]))
            if not told.places and told.owner_id is not None:
                await notify_user(told.owner_id, {"type": "file.updated", "file": told.file})
    except (*OUTAGE, redis.RedisError, OSError) as error:
        logger.warning("file_update_lost", blob=str(blob_id), error=type(error).__name__)


def _read(blob_id: uuid.UUID) -> list[_Told]:
    found = []
    for file in File.objects.select_related("blob").filter(blob=blob_id):
        rows = Attachment.objects.filter(file=file).select_related("message")
        places = [(row.message.conversation_id, row.message_id) for row in rows if shows_files(row.message)]
        found.append(_Told(file_dict(file), file.owner_id, places))
    return found
