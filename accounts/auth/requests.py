"""The type of a request whose user is logged in."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from accounts.models import User


class AuthenticatedRequest(HttpRequest):
    """For views behind `login_required` or the admin, where `user` is never anonymous."""

    user: User


def user_of(request: HttpRequest) -> User:
    """The user, where a signature from Django asks for an `HttpRequest` but only logged-in users get this far."""
    return cast("AuthenticatedRequest", request).user
