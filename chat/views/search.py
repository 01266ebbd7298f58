"""Search as JSON for the sheet, places in a conversation, and pieces of long conversations anywhere in their path."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from accounts.lib import rate_limit
from accounts.lib.db import QueryTimeoutError
from chat.conversations import windows
from chat.conversations.member_branches import tip_of
from chat.conversations.membership import member_of
from chat.conversations.snapshot import read_state
from chat.protocol.errors import NotFound
from chat.search.finding import Filters, search, search_in
from chat.views.conversations import render_piece
from chat.views.decorators import for_members, zone_of

SEARCH_RATE: Final = "150/m"  # searches of one user: one for each pause while typing


@require_safe
@for_members
def find(request: HttpRequest) -> HttpResponse:
    """Titles and messages for `q`, with the filters `scope`, `model`, `from`, `to` (days), `files`, `archived`.

    429 beyond SEARCH_RATE, 503 if it takes too long.
    """
    if refused := _refuse(request):
        return refused
    try:
        found = search(user_of(request).pk, request.GET.get("q", ""), _filters(request))
    except QueryTimeoutError:
        return _too_slow()
    return JsonResponse(
        {
            "titles": [
                {"id": one.conversation_id, "pieces": one.pieces, "at": one.updated_at} for one in found.titles
            ],
            "messages": [
                {
                    "id": one.message_id, "conversation_id": one.conversation_id, "title": one.title,
                    "role": one.role, "author": one.author, "at": one.written_at, "pieces": one.pieces,
                }
                for one in found.messages
            ],
            "similar": found.is_similar,
        }
    )  # fmt: skip


@require_safe
@for_members
def find_in_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The ids of the messages that have the words of `q`, on all branches, the oldest first."""
    if refused := _refuse(request):
        return refused
    try:
        return JsonResponse({"messages": search_in(user_of(request).pk, conversation_id, request.GET.get("q", ""))})
    except QueryTimeoutError:
        return _too_slow()


@require_safe
@for_members
def show_part(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """A part of a conversation as an HTML fragment: around `message`, from the day `date` on, `at` its start or end, or
    below the message `after`. `leaf` is the end of the path; without it, of the one that the reader looks at.
    """
    reader = user_of(request).pk
    member_of(reader, conversation_id)
    leaf = _id(request.GET, "leaf") or tip_of(reader, conversation_id)
    if (message := _id(request.GET, "message")) is not None:
        window = windows.window_around(conversation_id, message)
    elif (after := _id(request.GET, "after")) is not None and leaf is not None:
        window = windows.window_below(conversation_id, leaf, after)
    elif (day := _day(request.GET, "date")) is not None:
        moment = datetime.datetime.combine(day, datetime.time.min, zone_of(request))
        window = windows.window_from(conversation_id, leaf, moment)
    elif request.GET.get("at") == "start":
        window = windows.window_at_start(conversation_id, leaf)
    else:
        window = windows.window_at_end(conversation_id, leaf)
    state = async_to_sync(read_state)(conversation_id, limit=window.size, leaf=window.last, reader=reader)
    if "after" in request.GET:
        state.has_more = False  # it is what the page shows already
    return render_piece(request, state, state.messages, window)


def _filters(request: HttpRequest) -> Filters:
    """What cannot be read is not filtered by."""
    ask, zone = request.GET, zone_of(request)
    since, until = _day(ask, "from"), _day(ask, "to")
    if until is not None and until < datetime.date.max:
        until += datetime.timedelta(days=1)
    midnight = datetime.time.min
    return Filters(
        scope=ask.get("scope", ""),
        model=ask.get("model", "").replace("\x00", "")[:200],
        since=datetime.datetime.combine(since, midnight, zone) if since else None,
        until=datetime.datetime.combine(until, midnight, zone) if until else None,
        has_files=ask.get("files") == "1",
        archived=ask.get("archived") == "1",
    )


def _day(asked: Mapping[str, str], name: str) -> datetime.date | None:
    try:
        day = datetime.date.fromisoformat(asked.get(name, ""))
    except ValueError:
        return None
    return day if 1970 <= day.year <= 9000 else None


def _id(asked: Mapping[str, str], name: str) -> uuid.UUID | None:
    """Raises `NotFound` for what is no id."""
    try:
        return uuid.UUID(asked[name]) if name in asked else None
    except ValueError:
        raise NotFound from None


def _refuse(request: HttpRequest) -> HttpResponse | None:
    wait = rate_limit.try_acquire(rate_limit.required_limits((f"search:{user_of(request).pk.hex}", SEARCH_RATE)))
    if not wait:
        return None
    said = _("You are searching very quickly. Wait a few seconds.")
    body: dict[str, Any] = {"code": "rate_limited", "message": said, "retry_after": wait}
    return JsonResponse(body, status=429, headers={"Retry-After": str(int(wait) + 1)})


def _too_slow() -> HttpResponse:
    said = _("The search took too long. Add a word, or choose a shorter time.")
    return JsonResponse({"code": "unavailable", "message": said}, status=503)
