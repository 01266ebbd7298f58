"""Dangerous acts need a proof of who is there that is not older than a few minutes: a page left open is not enough."""

from __future__ import annotations

import time
from typing import Final

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest

from accounts.models import User

RECENT: Final = 600  # seconds after a log-in or a proof


def has_recent_proof(request: HttpRequest) -> bool:
    """Whether the session's user logged in, or proved again who they are, within `RECENT`. True where the user has
    nothing to prove it with but a provider's log-in, which the site cannot repeat in the middle of an act.
    """
    user = request.user
    if not isinstance(user, User):
        return False
    records = get_authentication_records(request, user)
    if records and time.time() - records[-1]["at"] < RECENT:
        return True
    return bool(did_recently_reauthenticate(request)) if get_adapter().get_reauthentication_methods(user) else True


def check_recent_proof(request: HttpRequest) -> None:
    """Raises `ReauthenticationRequired`, upon which allauth's middleware asks for the proof and then repeats the
    request. Nothing may have been changed before.
    """
    if settings.ACCOUNT_REAUTHENTICATION_REQUIRED and not has_recent_proof(request):
        raise ReauthenticationRequired
