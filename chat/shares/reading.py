"""A shared conversation, as readers of one link see it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import async_to_sync

from chat.conversations.branches import path_ids
from chat.conversations.snapshot import read_state
from chat.models import Message, ShareKind, ShareLink
from chat.protocol.commands import Position
from chat.protocol.errors import NotFound
from chat.shares.frozen import read_frozen
from chat.shares.shaping import Look, shape_message

PAGE_MESSAGES: Final = 100
LONGEST_PATH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Shared:
    """A page of a share: `messages` shaped, oldest first; `before` asks for those above them, empty if there are none.

    `position`: of the event log, for a live share.
    """

    title: str
    messages: list[dict[str, Any]]
    before: str
    position: Position | None = None


def look_of(link: ShareLink) -> Look:
    return Look(link.show_names, link.show_reasoning, link.show_tools, link.show_files)


def read_shared(link: ShareLink, before: str = "") -> Shared:
    """The last messages, or those before `before`. Raises `NotFound` for a place that is not of this share."""
    return _read_snapshot(link, before) if link.kind == ShareKind.SNAPSHOT else _read_live(link, before)


def _read_snapshot(link: ShareLink, before: str) -> Shared:
    if before and not (before.isascii() and before.isdecimal() and len(before) < 6):
        raise NotFound
    rows, left = read_frozen(link, before=int(before) if before else None, limit=PAGE_MESSAGES)
    shown = [shape_message(row, look_of(link)) for row in rows]
    return Shared(link.title, shown, str(left) if left else "")


def _read_live(link: ShareLink, before: str) -> Shared:
    leaf = _above(link, before) if before else None
    state = async_to_sync(read_state)(link.conversation_id, limit=PAGE_MESSAGES, leaf=leaf)
    shown = [shape_message(message, look_of(link)) for message in state.messages]
    first = shown[0]["id"] if state.has_more and shown else ""
    return Shared(state.conversation.title, shown, first, state.position)


def _above(link: ShareLink, before: str) -> uuid.UUID:
    """The message above one of the path that the link shows."""
    conversation = link.conversation
    try:
        message = Message.objects.get(pk=uuid.UUID(before), conversation=conversation)
    except (ValueError, Message.DoesNotExist):
        raise NotFound from None
    if message.parent_id is None:
        raise NotFound
    if message.pk not in path_ids(conversation.pk, conversation.tip_id, limit=LONGEST_PATH):
        raise NotFound
    return message.parent_id
