"""What the page of a conversation says of how far its people have read, and of browser notifications."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, QuerySet, Subquery
from django.http import HttpRequest

from accounts.auth.requests import user_of
from accounts.auth.revocation import session_hash
from chat.models import Member, Message, PushSubscription
from chat.notifications.devices import devices_of
from chat.notifications.keys import push_is_on
from chat.notifications.positions import MOST_ANNOUNCED

ACTIVE = ("pending", "streaming")


def with_reading(rows: QuerySet[Member], request: HttpRequest, conversation_id: uuid.UUID) -> QuerySet[Member]:
    """The members, each with what this page says of reading, the same in all rows: `newest`, the conversation's newest
    finished message, and whether the reader has notified devices (`any_device`), of which this browser is one
    (`this_device`).
    """
    finished = Message.objects.filter(conversation_id=conversation_id).exclude(status__in=ACTIVE)
    devices, here = _devices(request)
    return rows.annotate(
        newest=Subquery(finished.order_by("-created_at").values("pk")[:1]),
        any_device=Exists(devices),
        this_device=Exists(here),
    )


def reading_of(reader: Any, members: Sequence[Member], messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """For reading.js: the first unread message of those shown, the newest finished message, and the others' positions.

    `reader` is a row of `with_reading`, `messages` are those shown, oldest first.
    """
    unread = (one["id"] for one in messages if _is_news(one, reader))
    others = [one for one in members if one.user_id != reader.user_id] if len(members) <= MOST_ANNOUNCED else []
    return {
        "unread_from": next(unread, None),
        "newest": str(reader.newest) if reader.newest else None,
        "seen": {str(one.user_id): str(one.seen_message_id) for one in others if one.seen_message_id},
    }


def _is_news(message: dict[str, Any], reader: Member) -> bool:
    author = message["author"] or {}
    is_new = datetime.fromisoformat(message["created_at"]) > reader.seen_until
    return is_new and message["status"] not in ACTIVE and author.get("id") != str(reader.user_id)


def push_state(request: HttpRequest, reader: Any = None) -> dict[str, bool] | None:
    """Whether the user has notified devices, and whether this browser is one. None: the site sends no notifications.

    `reader` is a row of `with_reading`, where there is one.
    """
    if not push_is_on():
        return None
    if reader is not None:
        return {"any": reader.any_device, "here": reader.this_device}
    devices, here = _devices(request)
    return {"any": devices.exists(), "here": here.exists()}


def _devices(request: HttpRequest) -> tuple[QuerySet[PushSubscription], QuerySet[PushSubscription]]:
    devices = devices_of(user_of(request).pk)
    return devices, devices.filter(session_hash=session_hash(request.session.session_key or ""))
