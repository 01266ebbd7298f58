"""The prompts of tool servers as JSON, for the message field."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.catalog.server_prompts import check_prompt, server_prompts
from chat.jobs import tool_servers as ask
from chat.protocol.errors import Unavailable
from chat.views.connections import release_database
from chat.views.decorators import command, for_members


@require_safe
@for_members
def list_server_prompts(request: HttpRequest) -> HttpResponse:
    """The prompts of the servers that the user may use, without texts."""
    return JsonResponse({"prompts": server_prompts(user_of(request))})


@command
def fill_in_prompt(request: HttpRequest, server_id: uuid.UUID) -> dict[str, Any]:
    """The text of a prompt, which a worker asks the server for with `name` and `arguments`, a JSON object of texts."""
    user = user_of(request)
    name = request.POST.get("name", "")
    arguments = check_prompt(user, server_id, name, request.POST.get("arguments", ""))
    release_database()
    reply = ask.request_prompt(server_id, user.pk, name, arguments)
    if not reply.passed:
        raise Unavailable(reply.sentence)
    return {"text": reply.text}
