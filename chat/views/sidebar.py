"""The list of conversations, and the commands on its entries."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.conversations import listing, summaries
from chat.protocol.errors import Invalid
from chat.turns.mentioning import mentioned_in
from chat.views.decorators import command, for_members, zone_of


@require_safe
@for_members
def list_conversations(request: HttpRequest) -> HttpResponse:
    """The list of conversations as a piece of HTML: after `after`, or the newest `count`.

    204 if they are what a page shows already, whose list has the version `unless`.
    """
    user_id = user_of(request).pk
    count, after = request.GET.get("count", ""), request.GET.get("after", "")
    try:
        found = listing.read_listing(
            user_id,
            zone=zone_of(request),
            after=after,
            count=int(count) if count.isdecimal() and len(count) < 6 else listing.PAGE,
            mentioned_in=() if after else list(mentioned_in(user_id)),
        )
    except Invalid:
        raise Http404 from None
    if request.GET.get("unless") == found.version:
        return HttpResponse(status=204)
    return render(request, "chat/conversations.html", {"listing": found})


@command
def rename(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    return {"title": listing.rename(user_of(request).pk, conversation_id, request.POST.get("title", ""))}


@command
def pin(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `pinned=1` to pin, `pinned=0` to unpin."""
    pinned = request.POST.get("pinned") == "1"
    listing.pin(user_of(request).pk, conversation_id, pinned=pinned)
    return {"pinned": pinned}


@command
def use_summary(request: HttpRequest, conversation_id: uuid.UUID, summary_id: uuid.UUID) -> dict[str, Any]:
    """POST `used=0` to undo a summary, `used=1` to use it again."""
    used = request.POST.get("used") == "1"
    return {"summary": summaries.use_summary(user_of(request).pk, conversation_id, summary_id, used=used)}


@command
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    listing.delete(user_of(request).pk, conversation_id)
    return {}


@command
def restore(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    listing.restore(user_of(request).pk, conversation_id)
    return {}
