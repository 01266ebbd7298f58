"""The members of a conversation: list, add, change, remove, leave."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest
from ninja import Router

from chat.api.rest.access import READS, WRITES, user_id_of
from chat.api.rest.answers import answers
from chat.api.rest.schemas import Listed, MemberIn, MemberOut, RoleIn
from chat.conversations import members
from chat.conversations.members_mail import mail_added

router = Router(tags=["members"])
PATH = "/conversations/{uuid:conversation_id}/members"


@router.get(PATH, auth=READS, response=answers(Listed[MemberOut]), summary="List the members")
def list_members(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """All of them, owners first."""
    return {"data": members.list_members(user_id_of(request), conversation_id)}


@router.post(PATH, auth=WRITES, response=answers(Listed[MemberOut], 201), summary="Add a member")
def add_member(request: HttpRequest, conversation_id: uuid.UUID, member: MemberIn) -> tuple[int, dict[str, Any]]:
    """Owners only. The person gets a mail."""
    user_id = user_id_of(request)
    added = members.add_member(user_id, conversation_id, member.email, member.role, user_id=member.user_id)
    mail_added(request, added)
    return 201, list_members(request, conversation_id)


@router.patch(
    PATH + "/{uuid:user_id}", auth=WRITES, response=answers(Listed[MemberOut]), summary="Change a member's role"
)  # fmt: skip
def change_role(
    request: HttpRequest, conversation_id: uuid.UUID, user_id: uuid.UUID, change: RoleIn
) -> dict[str, Any]:  # fmt: skip
    """Owners only."""
    members.change_role(user_id_of(request), conversation_id, user_id, change.role)
    return list_members(request, conversation_id)


@router.delete(PATH + "/{uuid:user_id}", auth=WRITES, response=answers(None, 204), summary="Remove a member, or leave")
def remove_member(
    request: HttpRequest, conversation_id: uuid.UUID, user_id: uuid.UUID, successor: uuid.UUID | None = None
) -> tuple[int, None]:
    """Owners remove others; everybody may leave. The only owner names a `successor`."""
    own = user_id_of(request)
    if user_id == own:
        members.leave(own, conversation_id, successor)
    else:
        members.remove_member(own, conversation_id, user_id)
    return 204, None
