"""Remembers who has just proven their password for an account that is disabled, so that they can read why.

It is kept in the session of the browser, which stays logged out, for `MINUTES`.
"""

from __future__ import annotations

import time
import uuid
from typing import Final

from django.http import HttpRequest

from accounts.models import User

MINUTES: Final = 30
_KEY: Final = "inactive_account"


def remember_inactive(request: HttpRequest, user: User) -> None:
    """To be called when the password of a disabled account was right."""
    request.session[_KEY] = [str(user.pk), time.time()]


def inactive_account(request: HttpRequest) -> User | None:
    """The account that the browser was refused to log in to. None: too long ago, or the account is active again."""
    known, at = request.session.get(_KEY, ("", 0.0))
    if not known or not 0 <= time.time() - at < MINUTES * 60:
        return None
    return User.objects.filter(pk=uuid.UUID(known), is_active=False).first()
