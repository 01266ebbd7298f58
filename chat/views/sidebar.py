"""The list of conversations, and the commands on its entries."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.conversations import changing, listing, summaries
from chat.conversations.list_views import ALL, ListView, parse_view
from chat.conversations.snapshot import State
from chat.models import Folder, Member
from chat.protocol.errors import Invalid
from chat.turns.mentioning import mentioned_in
from chat.views.decorators import command, for_members, zone_of

PLACES: Final = ("after", "before", "start", "around", "day")


@require_safe
@for_members
def list_conversations(request: HttpRequest) -> HttpResponse:
    """A page of a `view` of the list as a piece of HTML, at most `count` entries: the newest, or where one of `after`,
    `before`, `start` (positions), `around` (a conversation) and `day` (YYYY-MM-DD) says.

    204 if they are what a page shows already, whose list has the version `unless`.
    """
    user_id = user_of(request).pk
    count = request.GET.get("count", "")
    try:
        place = place_of(request)
        found = listing.read_listing(
            user_id,
            zone=zone_of(request),
            view=parse_view(request.GET.get("view", "")),
            place=place,
            count=int(count) if count.isdecimal() and len(count) < 6 else listing.PAGE,
            mentioned_in=() if place.continues else list(mentioned_in(user_id)),
        )
    except Invalid:
        raise Http404 from None
    if request.GET.get("unless") == found.version:
        return HttpResponse(status=204)
    return render(request, "chat/conversations.html", {"listing": found})


def place_of(request: HttpRequest) -> listing.Place:
    """Where in the list a page is to begin. Raises `Invalid`."""
    asked = {name: request.GET[name] for name in PLACES if request.GET.get(name)}
    if len(asked) > 1:
        raise Invalid(_("A page of the list begins at one place."))
    try:
        return listing.Place(
            after=asked.get("after", ""),
            before=asked.get("before", ""),
            start=asked.get("start", ""),
            around=uuid.UUID(asked["around"]) if "around" in asked else None,
            day=datetime.date.fromisoformat(asked["day"]) if "day" in asked else None,
        )
    except ValueError:
        raise Invalid(_("Invalid position in the list.")) from None


def list_beside(
    request: HttpRequest,
    state: State | None,
    member: Member | None,
    folder: Folder | None,
    mentioned: Collection[uuid.UUID],
) -> listing.Listing:
    """The list beside a conversation, with its entry in the middle: that of its folder, else the whole. Beside a new
    one it is that of the `folder` that it begins in.
    """
    view, place = ALL, listing.TOP
    if folder is not None:
        view = ListView("folder", folder.pk)
    elif (
        member is not None
        and state is not None
        and not (
            member.archived_at or state.conversation.temporary or state.conversation.pinned_at  # at the top of the list
        )
    ):
        place = listing.Place(around=state.conversation.pk)
        view = ListView("folder", member.folder_id) if member.folder_id else view
    return listing.read_listing(
        user_of(request).pk, zone=zone_of(request), view=view, place=place, mentioned_in=mentioned
    )


@command
def rename(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    return {"title": changing.rename(user_of(request).pk, conversation_id, request.POST.get("title", ""))}


@command
def pin(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `pinned=1` to pin, `pinned=0` to unpin."""
    pinned = request.POST.get("pinned") == "1"
    changing.pin(user_of(request).pk, conversation_id, pinned=pinned)
    return {"pinned": pinned}


@command
def use_summary(request: HttpRequest, conversation_id: uuid.UUID, summary_id: uuid.UUID) -> dict[str, Any]:
    """POST `used=0` to undo a summary, `used=1` to use it again."""
    used = request.POST.get("used") == "1"
    return {"summary": summaries.use_summary(user_of(request).pk, conversation_id, summary_id, used=used)}


@command
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    changing.delete(user_of(request).pk, conversation_id)
    return {}


@command
def restore(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    changing.restore(user_of(request).pk, conversation_id)
    return {}
