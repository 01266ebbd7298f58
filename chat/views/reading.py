"""What the page of a conversation says of how far its people have read, and of browser notifications."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from accounts.auth.requests import user_of
from accounts.auth.revocation import session_hash
from chat.models import Member, Message
from chat.notifications.devices import devices_of
from chat.notifications.keys import push_is_on
from chat.notifications.positions import MOST_ANNOUNCED

ACTIVE = ("pending", "streaming")


def reading_of(reader: Member, members: Sequence[Member], messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """For reading.js: the first unread message of those shown, the newest finished message, and the others' positions.

    `messages` are those shown, oldest first.
    """
    rows = Message.objects.filter(conversation_id=reader.conversation_id).exclude(status__in=ACTIVE)
    newest: uuid.UUID | None = rows.order_by("-created_at").values_list("pk", flat=True).first()
    unread = (one["id"] for one in messages if _is_news(one, reader))
    others = [one for one in members if one.user_id != reader.user_id] if len(members) <= MOST_ANNOUNCED else []
    return {
        "unread_from": next(unread, None),
        "newest": str(newest) if newest else None,
        "seen": {str(one.user_id): str(one.seen_message_id) for one in others if one.seen_message_id},
    }


def _is_news(message: dict[str, Any], reader: Member) -> bool:
    author = message["author"] or {}
    is_new = datetime.fromisoformat(message["created_at"]) > reader.seen_until
    return is_new and message["status"] not in ACTIVE and author.get("id") != str(reader.user_id)


def push_state(request: HttpRequest) -> dict[str, bool] | None:
    """Whether the user has notified devices, and whether this browser is one. None: the site sends no notifications."""
    if not push_is_on():
        return None
    here = session_hash(request.session.session_key or "")
    hashes = set(devices_of(user_of(request).pk).values_list("session_hash", flat=True))
    return {"any": bool(hashes), "here": here in hashes}
