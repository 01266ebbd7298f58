"""Which tools models may call in a conversation, as JSON: what the page's sheet shows, and their choice."""

from __future__ import annotations

import uuid
from threading import Lock
from typing import Any

from cachetools import TTLCache, cached
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.catalog.presets import usable_presets
from chat.catalog.tools import offered_tools
from chat.conversations import tool_rules, tools
from chat.models import Conversation, KnownTool, ToolServer
from chat.views.decorators import command, for_members


def read_or_change(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """GET: the tools, for a member. POST `tools`: a JSON list of their keys; empty: those that are on by default."""
    return (change if request.method == "POST" else read)(request, conversation_id)


@require_safe
@for_members
def read(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    user = user_of(request)
    return JsonResponse(tools.read_tools(user.pk, conversation_id, offered_tools(user)))


@command
def change(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    user = user_of(request)
    return tools.change_tools(user.pk, conversation_id, request.POST.get("tools", ""), offered_tools(user))


def read_or_change_rules(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """GET: how often tools ask in the conversation, and the limits of its answers with tools. POST: changes those that
    are named (`chat.conversations.tool_rules`).
    """
    return (change_rules if request.method == "POST" else read_rules)(request, conversation_id)


@require_safe
@for_members
def read_rules(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    return JsonResponse(tool_rules.read_rules(user_of(request).pk, conversation_id))


@command
def change_rules(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    given = {name: request.POST.get(name, "") for name in request.POST if name != "csrfmiddlewaretoken"}
    return tool_rules.change_rules(user_of(request).pk, conversation_id, given)


@require_safe
@for_members
def read_defaults(request: HttpRequest) -> HttpResponse:
    """The tools of a new conversation, also with the preset in `preset`, if the user may choose it."""
    user = user_of(request)
    try:
        preset = usable_presets(user.pk).filter(pk=uuid.UUID(request.GET.get("preset", ""))).first()
    except ValueError:
        preset = None
    return JsonResponse(tools.describe_tools(offered_tools(user), preset.tools if preset else None, preset))


def tools_shown(conversation: Conversation | None) -> dict[str, Any]:
    """What a page says of tools before its sheet is opened: whether there are any, whether others than usual are on,
    and whether tool servers have prompts.
    """
    chosen = conversation is not None and conversation.tools is not None
    return {"any": has_tools(), "chosen": chosen, "prompts": has_server_prompts()}


@cached(TTLCache(1, ttl=10), lock=Lock())
def has_server_prompts() -> bool:
    """Whether some tool server has prompts, for whomever; as of a few seconds ago."""
    return ToolServer.objects.filter(enabled=True).exclude(prompts=[]).exists()


@cached(TTLCache(1, ttl=10), lock=Lock())
def has_tools() -> bool:
    """Whether this site has tools, for whomever; as of a few seconds ago."""
    return KnownTool.objects.filter(enabled=True, gone_at=None).exists()
