"""Which messages the model answers, and mentions of the user, as JSON."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.conversations.answering import change_rule, describe_rule
from chat.conversations.membership import member_of
from chat.turns.mentioning import note_seen
from chat.views.decorators import command, for_members


def read_or_change(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """GET: the rule, for a member. POST `answers`: `always`, `mentioned`, or empty for the usual one."""
    return (change if request.method == "POST" else read)(request, conversation_id)


@require_safe
@for_members
def read(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    member = member_of(user_of(request).pk, conversation_id)
    return JsonResponse(describe_rule(member.conversation, member))


@command
def change(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    return change_rule(user_of(request).pk, conversation_id, request.POST.get("answers", ""))


@command
def see_mentions(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """The user has seen what mentions them in this conversation."""
    note_seen(user_of(request).pk, conversation_id)
    return {}
