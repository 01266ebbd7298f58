"""The pages of a new and of an existing conversation, and the HTML fragments that their script loads.

One template shows every message (chat/message.html): on first load, as an older one, in another version, or as the
blank for new messages. Every view checks the reader's membership.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from accounts.features import is_on
from accounts.models.site import Feature
from accounts.quotas.balance import user_balances
from accounts.site import site
from chat.catalog.access import models_of
from chat.catalog.picker import first_choice
from chat.catalog.presets import offered_presets
from chat.catalog.tools import is_search_offered
from chat.conversations.branches import newest_leaf
from chat.conversations.folders import folder_of
from chat.conversations.member_branches import tip_of
from chat.conversations.members import members_of
from chat.conversations.membership import member_of
from chat.conversations.organising import note_opened
from chat.conversations.parameters import is_changed
from chat.conversations.rating import rating_pairs
from chat.conversations.snapshot import State, read_state
from chat.conversations.windows import PathWindow
from chat.eventlog.events import member_dict
from chat.models import Folder, Member, Message, Preset, Role
from chat.models.conversations import usual_rule
from chat.protocol.errors import NotFound
from chat.review.own_cases import unseen_cases
from chat.turns.mentioning import mentioned_in
from chat.views import moderation
from chat.views.appeals import USUAL, cases_url, moderation_words
from chat.views.browser_zone import note_zone
from chat.views.collections import collections_shown
from chat.views.decorators import for_members, zone_of
from chat.views.offline import BLANK, BLANK_SOURCES, BLANK_STEPS
from chat.views.page_urls import page_urls
from chat.views.plan_limits import plan_limits
from chat.views.reading import push_state, reading_of, with_reading
from chat.views.sidebar import list_beside
from chat.views.tools import tools_shown
from chat.voice.choices import choices_of

PAGE_MESSAGES: Final = 40  # messages of a path that are loaded at once


@require_safe
@for_members
def show_new(request: HttpRequest) -> HttpResponse:
    """The page of a new conversation, which its first message creates; with `folder`, in that folder of the user's.

    404 if there is no such folder (any more). Temporary conversations are in none.
    """
    named = "" if "temporary" in request.GET else request.GET.get("folder", "")
    try:
        folder = folder_of(user_of(request).pk, uuid.UUID(named)) if named else None
    except ValueError:
        raise Http404 from None
    return _page(request, None, folder=folder)


@require_safe
@for_members
def show_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The last messages of the branch that the reader looks at, with the text so far of answers in progress."""
    people, marks, row, found = _people(request, conversation_id)
    state = async_to_sync(read_state)(conversation_id, limit=PAGE_MESSAGES, leaf=row.tip_id, reader=row.user_id)
    people |= {"reading": reading_of(row, found, state.messages), "push": push_state(request, row)}
    note_opened(row)
    return _page(request, state, people, marks, member=row)


@require_safe
@for_members
def show_older(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The messages above the one in `before`, as an HTML fragment."""
    reader = user_of(request).pk
    member_of(reader, conversation_id)
    try:
        first = Message.objects.get(pk=uuid.UUID(request.GET.get("before", "")), conversation_id=conversation_id)
    except (ValueError, Message.DoesNotExist):
        raise Http404 from None
    if first.parent_id is None:
        raise Http404
    state = async_to_sync(read_state)(conversation_id, limit=PAGE_MESSAGES, leaf=first.parent_id, reader=reader)
    return render_piece(request, state, state.messages)


@require_safe
@for_members
def show_branch(request: HttpRequest, conversation_id: uuid.UUID, message_id: uuid.UUID) -> HttpResponse:
    """The path from a message to its newest leaf, as an HTML fragment; its last messages when it is long."""
    reader = user_of(request).pk
    member_of(reader, conversation_id)
    leaf = newest_leaf(conversation_id, message_id)
    state = async_to_sync(read_state)(conversation_id, limit=PAGE_MESSAGES * 3, leaf=leaf, reader=reader)
    ids = [message["id"] for message in state.messages]
    start = ids.index(str(message_id)) if str(message_id) in ids else 0
    if state.side_by_side:
        start = min(start, len(ids) - state.side_by_side)  # all of them
    state.has_more = state.has_more and start == 0
    return render_piece(request, state, state.messages[start:])


def _page(
    request: HttpRequest,
    state: State | None,
    people: dict[str, Any] | None = None,
    marks: Marks | None = None,
    *,
    member: Member | None = None,
    folder: Folder | None = None,
) -> HttpResponse:
    user = user_of(request)
    models, limits = models_of(user.pk), plan_limits(user)
    default = models[0]["id"] if models else ""
    usual = (state.conversation.model if state else "") or default
    chosen = usual if usual in [model["id"] for model in models] else default
    if state is None:
        chosen = first_choice(user.pk, models)
        if folder is not None and folder.model in [model["id"] for model in models]:
            chosen = folder.model
    data = {
        "user": {"id": str(user.pk), "name": user.display_name},
        "voice": choices_of(user),
        "conversation_id": str(state.conversation.pk) if state else None,
        "folder": {"id": str(folder.pk), "name": folder.name} if folder else None,
        "model": usual,
        "chosen": next(({"id": one["id"], "label": one["label"]} for one in models if one["id"] == chosen), None),
        "presets": [] if state else offered_presets(user.pk),
        "preset": _preset_name(state),
        **(people or _alone(request)),
        "answers": _rule(state, people),
        "queued": state.queued if state else [],
        "tools": tools_shown(state.conversation if state else None),
        "collections": collections_shown(user.pk, state.conversation if state else None),
        "parameters_changed": state is not None and is_changed(state.conversation),
        "web_search": {
            "offered": is_search_offered(user.pk),
            "on": state is not None and state.conversation.web_search,
        },
        "temporary_hours": limits.temporary_hours,
        "files": {"most": settings.FILES_PER_MESSAGE, "bytes": limits.file_bytes},
        "suspended": moderation.suspension_shown(request),
        "quotas": []
        if user.is_staff
        else [balance.frame() for balance in user_balances(user.pk) if balance.is_near_limit],
        "csrf": get_token(request),
        "currency": settings.CURRENCY,  # of the costs that come with answers, where the reader may see them
        "moderation": {"cases": cases_url(), "words": moderation_words(), "usual": USUAL},
        "urls": page_urls(),
    }
    mentioned = data.pop("mentioned_in")  # the list has it
    context = {
        "page": data,
        "conversation": state.conversation if state else None,
        "temporary": state.conversation.temporary if state else "temporary" in request.GET and is_on(Feature.TEMPORARY),
        **(_shown(state, state.messages, marks or Marks()) if state else {"shown": []}),
        "piece": _fragment_data(state, state.messages, state.tip_id) if state else None,
        "listing": list_beside(request, state, member, folder, mentioned),
        "folder": folder,
        "archived": member is not None and member.archived_at is not None,
        "zone": zone_of(request),
        "suggestions": _suggestions(),
        "blank_user": {**BLANK, "role": "user", "author": data["user"]},
        "blank_sources": BLANK_SOURCES,
        "blank_seam": {"id": "", "used": True, "text": ""},
        "blank_steps": BLANK_STEPS,
        "blank_assistant": {**BLANK, "role": "assistant", "status": "pending"},
    }
    note_zone(request, user)
    return render(request, "chat/conversation.html", context)


def _alone(request: HttpRequest) -> dict[str, Any]:
    """What the page of a new conversation says of people."""
    user = user_of(request)
    return {
        "role": Role.OWNER.value, "members": [], "decisions": unseen_cases(user).exists(),
        "mentioned_in": list(mentioned_in(user.pk)), "push": push_state(request),
    }  # fmt: skip


def _people(request: HttpRequest, conversation_id: uuid.UUID) -> tuple[dict[str, Any], Marks, Member, list[Member]]:
    """The reader's role, the members where there are several, whether the reader has decisions to read, where others
    have mentioned them; what the reader said of messages; the reader's row, with the last message of their branch; and
    all rows. One query. Raises `NotFound` if the reader is no member.
    """
    user = user_of(request)
    rows = with_reading(members_of(conversation_id).filter(conversation__deleted_at=None), request, conversation_id)
    rows = rows.annotate(
        rated=ArraySubquery(rating_pairs(user.pk, conversation_id)), mentioned_in=ArraySubquery(mentioned_in(user.pk))
    )
    found = list(moderation.with_reports_and_decisions(rows, user, conversation_id))
    reader: Any = next((one for one in found if one.user_id == user.pk), None)
    if reader is None:
        raise NotFound
    members = [member_dict(one) for one in found] if len(found) > 1 else []
    people = {
        "role": reader.role, "members": members, "decisions": reader.decisions, "mentioned_in": reader.mentioned_in,
    }  # fmt: skip
    return people, Marks(reader.reported, dict(reader.rated)), reader, found


def _rule(state: State | None, people: dict[str, Any] | None) -> str:
    """Which messages the model answers. There are no `members` in `people` where the reader is the only one."""
    return (state.conversation.answers if state else "") or usual_rule(len(people["members"]) if people else 0)


def render_piece(
    request: HttpRequest, state: State, messages: list[dict[str, Any]], window: PathWindow | None = None
) -> HttpResponse:
    """Messages of a path as an HTML fragment; of a `window`, with what leads to those below it."""
    user, conversation_id = user_of(request), state.conversation.pk
    marks = Marks(moderation.reported_in(user, conversation_id), dict(rating_pairs(user.pk, conversation_id)))
    context = {
        **_shown(state, messages, marks),
        "piece": _fragment_data(state, messages, tip_of(user_of(request).pk, state.conversation.pk)),
        "page": {"user": {"id": str(user_of(request).pk)}},
        "zone": zone_of(request),
        "window": window,
    }
    return render(request, "chat/messages.html", context)


@dataclass(frozen=True, slots=True)
class Marks:
    """What the reader said of messages: which they have reported, and how they rated answers, by id."""

    reported: Collection[uuid.UUID] = ()
    rated: Mapping[str, int] = field(default_factory=dict)


def _shown(state: State, messages: list[dict[str, Any]], marks: Marks) -> dict[str, list[dict[str, Any]]]:
    """The messages one below the other, and those side by side below them."""
    for message in messages:
        message["rated"] = marks.rated.get(message["id"], 0)
        message["reported"] = uuid.UUID(message["id"]) in marks.reported
    first = len(messages) - state.side_by_side
    return {"shown": messages[:first], "beside": messages[first:]}


def _fragment_data(state: State, messages: list[dict[str, Any]], tip: uuid.UUID | None) -> dict[str, Any]:
    """`tip` is the last message of the branch that the reader looks at, as the server knows it."""
    return {
        "position": state.position,
        "parent": (messages[0]["parent_id"] or "") if messages else "",
        "first": messages[0]["id"] if messages else "",
        "tip": tip or "",
        "beside_prompt": messages[-1]["parent_id"] if state.side_by_side else "",
        "beside_size": state.side_by_side,
        "has_more": state.has_more,
    }


def _preset_name(state: State | None) -> str:
    """The name of the preset that a conversation started with; empty without one, or when it is deleted."""
    chosen = state.conversation.preset_id if state else None
    return "" if chosen is None else Preset.objects.filter(pk=chosen).values_list("name", flat=True).first() or ""


def _suggestions() -> list[str]:
    """Starters of a new conversation: those of the site, else ours."""
    return list(site().starters) or [
        _("Explain how vaccines work in simple terms"),
        _("Plan five simple dinners for this week"),
        _("Write a Python function that parses dates, with tests"),
        _("How do I politely decline a meeting?"),
    ]
