"""The parameters of a conversation as JSON: what the page's side sheet shows, and their change."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.catalog.presets import choose_preset
from chat.conversations import parameters
from chat.models import Preset
from chat.protocol.errors import ChatError
from chat.views.decorators import command, for_members

ANY_MODEL: Final = "any"  # whether the preset's own model is offered does not matter here


def read_or_change(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """GET: the parameters, for a member. POST those that change (`system_prompt`, `temperature`, `max_tokens`,
    `effort`); an empty value is the default.
    """
    return (change if request.method == "POST" else read)(request, conversation_id)


@require_safe
@for_members
def read(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    return JsonResponse(parameters.read_parameters(user_of(request).pk, conversation_id, find_preset))


@command
def change(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    given = {name: value for name, value in request.POST.items() if isinstance(value, str)}
    return parameters.change_parameters(user_of(request).pk, conversation_id, given, find_preset)


@require_safe
@for_members
def read_defaults(request: HttpRequest) -> HttpResponse:
    """The parameters of a new conversation: the defaults, also of the preset in `preset`, if the user may choose it."""
    user_id = user_of(request).pk
    try:
        preset = find_preset(user_id, uuid.UUID(request.GET.get("preset", "")))
    except ValueError:
        preset = None
    return JsonResponse(parameters.read_defaults(user_id, preset))


def find_preset(user_id: uuid.UUID, preset_id: uuid.UUID) -> Preset | None:
    """A preset that the user may choose now; what others may be changed to is not theirs to see."""
    try:
        return choose_preset(user_id, preset_id, ANY_MODEL)
    except ChatError:
        return None
