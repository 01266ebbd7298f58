"""The parameters of a conversation as JSON: what the page's side sheet shows, and their change."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.catalog.presets import choose_preset
from chat.conversations import parameters
from chat.protocol.errors import ChatError
from chat.views.decorators import command, for_members


def read_or_change(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """GET: the parameters, for a member. POST those that change (`system_prompt`, `temperature`, `max_tokens`,
    `effort`); an empty value is the default.
    """
    return (change if request.method == "POST" else read)(request, conversation_id)


@require_safe
@for_members
def read(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    return JsonResponse(parameters.read_parameters(user_of(request).pk, conversation_id))


@command
def change(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    given = {name: value for name, value in request.POST.items() if isinstance(value, str)}
    return parameters.change_parameters(user_of(request).pk, conversation_id, given)


@require_safe
@for_members
def read_defaults(request: HttpRequest) -> HttpResponse:
    """The parameters of a new conversation: the defaults, also of the preset in `preset`, if the user may choose it."""
    user_id = user_of(request).pk
    preset = None
    if chosen := request.GET.get("preset", ""):
        try:
            preset = choose_preset(user_id, uuid.UUID(chosen), None)
        except (ValueError, ChatError):
            preset = None  # it is gone, or not theirs: the message is refused with the reason when it is sent
    return JsonResponse(parameters.read_defaults(user_id, preset))
