"""The pages: a new conversation, a conversation, and the pieces of HTML that its script asks for.

A message is shown by one template (chat/message.html), whether on first load, as an earlier one, in another version or
as the blank that a new message is made from. Everything is read through the reader's membership.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from asgiref.sync import async_to_sync
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.outage import OUTAGE
from accounts.standing import quotas_left
from chat import catalog, listing
from chat.errors import ChatError, Forbidden, Invalid, NotFound, Unavailable
from chat.keeping import temporary_hours
from chat.models import Message, Preset
from chat.presets import offered_presets
from chat.queries import State, member_of, newest_leaf, read_state

logger = structlog.get_logger(__name__)

WINDOW: Final = 40  # messages of a path shown at once
SHEETS: Final = tuple(f"chat/css/{name}.css" for name in ("prose", "chat", "messages", "composer", "voice", "keeping"))
BLANK: Final[dict[str, Any]] = {"id": "", "text": "", "html": None, "status": "local", "run": None, "author": None}


def for_members(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page for people who are logged in. What one may not see is 404; an outage of ours has its own page (503)."""
    inner = login_required(view)

    @never_cache
    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return inner(request, *args, **kwargs)
        except NotFound:
            raise Http404 from None
        except Forbidden as error:
            raise PermissionDenied from error
        except (Unavailable, *OUTAGE) as error:
            logger.warning("page_unavailable", error=type(error).__name__)
            response = render(request, "chat/unavailable.html", status=503)
            response["Retry-After"] = "10"
            return response

    return guarded


def command(view: Callable[..., dict[str, Any]]) -> Callable[..., HttpResponse]:
    """A POST of the page's script: a dict becomes JSON, an error its code and sentence."""

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return JsonResponse(view(request, *args, **kwargs))
        except ChatError as error:
            status = {"not_found": 404, "forbidden": 403, "invalid": 400}.get(error.code, 503)
            return JsonResponse({"code": error.code, "message": error.message}, status=status)

    return require_POST(for_members(answer))


@require_safe
@for_members
def new(request: HttpRequest) -> HttpResponse:
    """The page of a conversation that does not exist yet: the first message makes it."""
    return _page(request, None)


@require_safe
@for_members
def conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """A conversation's newest path, its last messages; answers in progress as far as they are."""
    member_of(_user(request).pk, conversation_id)
    return _page(request, async_to_sync(read_state)(conversation_id, limit=WINDOW))


@require_safe
@for_members
def older(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The messages above the one named by `before`, as a piece of HTML."""
    member_of(_user(request).pk, conversation_id)
    try:
        first = Message.objects.get(pk=uuid.UUID(request.GET.get("before", "")), conversation_id=conversation_id)
    except (ValueError, Message.DoesNotExist):
        raise Http404 from None
    if first.parent_id is None:
        raise Http404
    state = async_to_sync(read_state)(conversation_id, limit=WINDOW, leaf=first.parent_id)
    return _piece(request, state, state.messages)


@require_safe
@for_members
def branch(request: HttpRequest, conversation_id: uuid.UUID, message_id: uuid.UUID) -> HttpResponse:
    """The path through a message, from it to its end (the last messages of it when it is long)."""
    member_of(_user(request).pk, conversation_id)
    leaf = newest_leaf(conversation_id, message_id)
    state = async_to_sync(read_state)(conversation_id, limit=WINDOW * 3, leaf=leaf)
    ids = [message["id"] for message in state.messages]
    start = ids.index(str(message_id)) if str(message_id) in ids else 0
    state.has_more = state.has_more and start == 0
    return _piece(request, state, state.messages[start:])


@require_safe
@for_members
def conversations(request: HttpRequest) -> HttpResponse:
    """The list of conversations as a piece of HTML: after `after`, or the newest `count`."""
    count = request.GET.get("count", "")
    try:
        found = listing.read_listing(
            _user(request).pk,
            zone=_zone(request),
            after=request.GET.get("after", ""),
            count=int(count) if count.isdecimal() and len(count) < 6 else listing.PAGE,
        )
    except Invalid:
        raise Http404 from None
    return render(request, "chat/conversations.html", {"listing": found})


@command
def rename(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    return {"title": listing.rename(_user(request).pk, conversation_id, request.POST.get("title", ""))}


@command
def pin(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `pinned=1`, or `pinned=0` to take it down."""
    pinned = request.POST.get("pinned") == "1"
    listing.pin(_user(request).pk, conversation_id, pinned=pinned)
    return {"pinned": pinned}


@command
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    listing.delete(_user(request).pk, conversation_id)
    return {}


@command
def undelete(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    listing.undelete(_user(request).pk, conversation_id)
    return {}


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """What the service worker shows when a page cannot be had. Says nothing about anybody."""
    return render(request, "chat/offline.html")


@require_safe
@never_cache
def service_worker(request: HttpRequest) -> HttpResponse:
    """The service worker, at the root so that it serves every page; it knows the offline page's versioned files."""
    files = [
        *("css/tokens.css", "css/base.css", "css/pages.css", "js/boot.js", "img/mark.svg"),
        *("vendor/fonts/inter-latin-wght-normal.woff2", "vendor/fonts/source-serif-4-latin-wght-normal.woff2"),
    ]
    urls = [reverse("chat:offline"), *(static(f"chat/{name}") for name in files)]
    context = {"urls": json.dumps(urls), "offline": json.dumps(reverse("chat:offline"))}
    return render(request, "chat/service-worker.js", context, content_type="text/javascript")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # by login_required
    return request.user


def _zone(request: HttpRequest) -> ZoneInfo:
    """The reader's time zone, from the cookie that boot.js sets; anything odd is UTC."""
    try:
        return ZoneInfo(request.COOKIES.get("timezone", "UTC").replace("%2F", "/"))
    except (ValueError, OSError, KeyError):
        return ZoneInfo("UTC")


def _page(request: HttpRequest, state: State | None) -> HttpResponse:
    user = _user(request)
    models = catalog.offered_models()
    data = {
        "user": {"id": str(user.pk), "name": user.display_name},
        "conversation_id": str(state.conversation.pk) if state else None,
        "model": (state.conversation.model if state else "") or (models[0]["id"] if models else ""),
        "models": models,
        "presets": [] if state else offered_presets(user.pk),
        "preset": _preset_name(state),
        "temporary_hours": temporary_hours(user),
        "quotas": [] if user.is_staff else [left.frame() for left in quotas_left(user.pk) if left.near],
        "csrf": get_token(request),
        "urls": {
            "root": reverse("chat:new"),
            "ticket": reverse("ticket"),
            "socket": "/ws/",
            "conversations": reverse("chat:conversations"),
            "login": reverse("account_login"),
            "icons": static("chat/img/icons.svg"),
        },
    }
    context = {
        "page": data,
        "conversation": state.conversation if state else None,
        "temporary": state.conversation.temporary if state else "temporary" in request.GET,
        "shown": state.messages if state else [],
        "piece": _piece_data(state, state.messages) if state else None,
        "listing": listing.read_listing(user.pk, zone=_zone(request)),
        "sheets": SHEETS,
        "suggestions": _suggestions(),
        "blank_user": {**BLANK, "role": "user", "author": data["user"]},
        "blank_assistant": {**BLANK, "role": "assistant", "status": "pending"},
    }
    return render(request, "chat/conversation.html", context)


def _piece(request: HttpRequest, state: State, messages: list[dict[str, Any]]) -> HttpResponse:
    context = {
        "shown": messages,
        "piece": _piece_data(state, messages),
        "page": {"user": {"id": str(_user(request).pk)}},
    }
    return render(request, "chat/messages.html", context)


def _piece_data(state: State, messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "position": state.position,
        "parent": (messages[0]["parent_id"] or "") if messages else "",
        "first": messages[0]["id"] if messages else "",
        "tip": state.conversation.tip_id or "",
        "has_more": state.has_more,
    }


def _preset_name(state: State | None) -> str:
    """The preset that a conversation began with; empty when there was none, or it is deleted."""
    chosen = state.conversation.preset_id if state else None
    return "" if chosen is None else Preset.objects.filter(pk=chosen).values_list("name", flat=True).first() or ""


def _suggestions() -> list[str]:
    return [
        _("Explain how vaccines work, in plain words"),
        _("Plan five simple dinners for this week"),
        _("Write a Python function that parses dates, with tests"),
        _("How do I turn down a meeting, kindly?"),
    ]
