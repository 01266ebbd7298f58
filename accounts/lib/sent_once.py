"""Forms whose answer shows a secret: reloading that page sends the form again, which must not create a second one."""

from __future__ import annotations

import re
import secrets
from typing import Final

import redis
from django.core.cache import cache
from django.http import HttpRequest

FIELD: Final = "form_id"
REMEMBERED_SECONDS: Final = 24 * 3600
_SHAPE: Final = re.compile(r"[\w-]{22}", re.ASCII)


def new_form_id() -> str:
    """For the hidden field `form_id` of a form that is about to be shown."""
    return secrets.token_urlsafe(16)


def was_sent(request: HttpRequest) -> bool:
    """Whether this form has been sent already; from now on it has. False without a `form_id`, or without Redis."""
    form_id = request.POST.get(FIELD, "")
    if not _SHAPE.fullmatch(form_id):
        return False
    try:
        return not cache.add(f"form:{request.user.pk}:{form_id}", 1, REMEMBERED_SECONDS)
    except redis.RedisError:
        return False
