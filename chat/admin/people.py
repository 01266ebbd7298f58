"""Whose words a row holds, for the audit log."""

from __future__ import annotations

import uuid
from typing import Any

from chat.models import Conversation, Member


def people_of(row: Any, conversation_id: uuid.UUID | None) -> list[uuid.UUID]:
    """The author of a message, or who asked for an answer's run; without one, and of a conversation, its members."""
    for name in ("author_id", "requested_by_id", "user_id", "owner_id"):
        if not isinstance(row, Conversation) and (found := getattr(row, name, None)) is not None:
            return [found]
    if conversation_id is None:
        return []
    return list(Member.objects.filter(conversation=conversation_id).order_by("pk").values_list("user_id", flat=True))
