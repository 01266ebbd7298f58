"""Switches web search of a conversation on and off, as JSON."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest

from accounts.auth.requests import user_of
from chat.conversations.web_search import switch_web_search
from chat.views.decorators import command


@command
def switch(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `on`: 1 or 0."""
    return switch_web_search(user_of(request).pk, conversation_id, on=request.POST.get("on") == "1")
