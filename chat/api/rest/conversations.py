"""Conversations: list, read, change, delete, restore."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from chat.api.rest.access import READS, WRITES, user_id_of
from chat.api.rest.answers import answers
from chat.api.rest.cursors import bad_cursor, make_cursor, read_cursor
from chat.api.rest.schemas import MOST, ConversationChange, ConversationOut, Page
from chat.conversations import changing, organising
from chat.conversations.listing import NEWEST_FIRST, beyond
from chat.conversations.membership import member_of
from chat.models import Member
from chat.protocol.errors import Invalid

router = Router(tags=["conversations"])


class Which(Schema):
    archived: bool = False
    limit: int = Field(50, ge=1, le=MOST)
    cursor: str = ""


@router.get("", auth=READS, response=answers(Page[ConversationOut]), summary="List conversations")
def list_conversations(request: HttpRequest, which: Query[Which]) -> dict[str, Any]:
    """The conversations of the token's user, newest first, in whichever folder. Temporary ones are not listed."""
    rows = Member.objects.filter(
        user_id=user_id_of(request), conversation__deleted_at=None, conversation__temporary=False,
        archived_at__isnull=not which.archived,
    )  # fmt: skip
    if which.cursor:
        try:
            rows = rows.filter(beyond(read_cursor(which.cursor)))
        except Invalid:
            raise bad_cursor() from None
    found = list(rows.select_related("conversation").order_by(*NEWEST_FIRST)[: which.limit + 1])
    shown = found[: which.limit]
    last = shown[-1].conversation if len(found) > which.limit else None
    position = f"{last.updated_at.isoformat()}~{last.pk}" if last else None
    return {"data": [_shown(row) for row in shown], "next_cursor": make_cursor(position)}


@router.get("/{uuid:conversation_id}", auth=READS, response=answers(ConversationOut), summary="Read a conversation")
def read_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    return _shown(member_of(user_id_of(request), conversation_id))


@router.patch("/{uuid:conversation_id}", auth=WRITES, response=answers(ConversationOut), summary="Change it")
def change_conversation(
    request: HttpRequest, conversation_id: uuid.UUID, change: ConversationChange
) -> dict[str, Any]:  # fmt: skip
    """Renames and pins it for all members, archives it for the token's user."""
    user_id = user_id_of(request)
    if change.title is not None:
        changing.rename(user_id, conversation_id, change.title)
    if change.pinned is not None:
        changing.pin(user_id, conversation_id, pinned=change.pinned)
    if change.archived is not None:
        organising.archive(user_id, [conversation_id], archived=change.archived)
    return _shown(member_of(user_id, conversation_id))


@router.delete("/{uuid:conversation_id}", auth=WRITES, response=answers(None, 204), summary="Move it to the trash")
def delete_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> tuple[int, None]:
    """Owners only. It is deleted for good after some days."""
    changing.delete(user_id_of(request), conversation_id)
    return 204, None


@router.post(
    "/{uuid:conversation_id}/restore", auth=WRITES, response=answers(ConversationOut),
    summary="Restore it from the trash",
)  # fmt: skip
def restore_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    changing.restore(user_id_of(request), conversation_id)
    return _shown(member_of(user_id_of(request), conversation_id))


def _shown(row: Member) -> dict[str, Any]:
    found = row.conversation
    return {
        "id": found.pk, "title": found.title, "created_at": found.created_at, "updated_at": found.updated_at,
        "role": row.role, "model": found.model, "pinned": found.pinned_at is not None,
        "archived": row.archived_at is not None, "temporary": found.temporary,
    }  # fmt: skip
