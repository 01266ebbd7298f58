"""What a member does to a single message over HTTP: edit it in place, delete it, fork the conversation from it."""

from __future__ import annotations

import math
import uuid
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from accounts.auth.requests import user_of
from accounts.lib import rate_limit
from chat.conversations.copying import fork
from chat.protocol.errors import RateLimited
from chat.turns.changing import delete_message, edit_message
from chat.views.decorators import command

FORK_RATE: Final = "60/h"  # per user


@sensitive_post_parameters("text")
@command
def edit(request: HttpRequest, message_id: uuid.UUID) -> dict[str, Any]:
    """POST `text`, and `seen`, the `edited_at` that the page shows: the message as it is then."""
    message = edit_message(user_of(request).pk, message_id, request.POST.get("text", ""), request.POST.get("seen"))
    return {"edited_at": message.edited_at.isoformat() if message.edited_at else None, "text": message.text}


@command
def delete(request: HttpRequest, message_id: uuid.UUID) -> dict[str, Any]:
    """POST: the message keeps its place, without a text."""
    delete_message(user_of(request).pk, message_id)
    return {}


@command
def fork_conversation(request: HttpRequest, message_id: uuid.UUID) -> dict[str, Any]:
    """POST: copies the path up to a message into a new conversation of the user's own, and says where it is."""
    user = user_of(request)
    if wait := rate_limit.try_acquire(rate_limit.required_limits((f"forks:{user.pk.hex}", FORK_RATE))):
        raise RateLimited(_("You’ve done this too often. Try again later."), retry_after=math.ceil(wait))
    copy = fork(user.pk, message_id)
    return {
        "conversation_id": str(copy.pk),
        "title": copy.title,
        "url": reverse("chat:conversation", args=[copy.pk]),
    }
