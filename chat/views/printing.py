"""A conversation as a page to print, or to save as PDF by the browser."""

from __future__ import annotations

import uuid
from typing import Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from accounts.lib.rate_limit import counts_reads
from chat.conversations.membership import member_of
from chat.conversations.snapshot import read_state
from chat.views.decorators import for_members

PRINTED_MESSAGES: Final = 1_000  # the last ones of a branch: about 500 pages


@counts_reads
@require_safe
@for_members
def show_for_printing(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The branch that the reader looks at, with nothing to press; its script opens the browser's print dialog."""
    member = member_of(user_of(request).pk, conversation_id, with_user=True)
    leaf = member.tip_id or member.conversation.tip_id
    state = async_to_sync(read_state)(conversation_id, limit=PRINTED_MESSAGES, leaf=leaf, reader=member.user_id)
    context = {"state": state, "title": state.conversation.title, "printed_at": timezone.now()}
    return render(request, "chat/print.html", context)
