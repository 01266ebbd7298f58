"""What a member does to a single message over HTTP: fork the conversation from it."""

from __future__ import annotations

import math
import uuid
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.auth.requests import user_of
from accounts.lib import rate_limit
from chat.conversations.copying import fork
from chat.protocol.errors import RateLimited
from chat.views.decorators import command

FORK_RATE: Final = "60/h"  # per user


@command
def fork_conversation(request: HttpRequest, message_id: uuid.UUID) -> dict[str, Any]:
    """POST: copies the path up to a message into a new conversation of the user's own, and says where it is."""
    user = user_of(request)
    if wait := rate_limit.try_acquire(rate_limit.required_limits((f"forks:{user.pk.hex}", FORK_RATE))):
        raise RateLimited(_("That was often. Try again later."), retry_after=math.ceil(wait))
    copy = fork(user.pk, message_id)
    return {
        "conversation_id": str(copy.pk),
        "title": copy.title,
        "url": reverse("chat:conversation", args=[copy.pk]),
    }
