"""The list of the picker, and what a user prefers in it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.catalog import picker
from chat.views.decorators import command, for_members_revalidated


@require_safe
@for_members_revalidated
def list_models(request: HttpRequest) -> HttpResponse:
    """The models of this user as JSON. The browser keeps the list and asks whether it has changed (`ETag`)."""
    body = msgspec.json.encode(picker.picker_entries(user_of(request)))
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json", headers={"ETag": etag})
    return get_conditional_response(request, etag=etag, response=response) or response


@command
def choose_model(request: HttpRequest) -> dict[str, Any]:
    """POST `model`: the user's next conversation starts with it."""
    picker.remember_choice(user_of(request).pk, request.POST.get("model", ""))
    return {}


@command
def star_model(request: HttpRequest) -> dict[str, Any]:
    """POST `model` and `starred=1` to add it to the favourites, `starred=0` to take it away."""
    picker.star(user_of(request).pk, request.POST.get("model", ""), starred=request.POST.get("starred") == "1")
    return {}
