"""Who needs a second factor (`SECOND_FACTOR_REQUIRED`), and until when they may do without one.

The days of grace begin when a user who needs one is first seen without one. They are counted once: whoever had a factor
and lost it sets up another at the next log-in.
"""

from __future__ import annotations

import enum
import time
from datetime import datetime, timedelta
from typing import Final

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User

ASK_AGAIN: Final = 300  # seconds for which a session keeps the answer that nothing is missing
FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)  # recovery codes only stand in for one of them
_CHECKED: Final = "second_factor_checked"  # in the session: until when, as a Unix time
_POSTPONED: Final = "second_factor_postponed"  # in the session: its user has chosen to set one up later
FROM_PROVIDER: Final = "second_factor_from_provider"  # in the session: the log-in's provider asks for one


class Standing(enum.Enum):
    """Whether a user lacks a factor that they need: no, not yet (days of grace), or now."""

    FINE = "fine"
    GRACE = "grace"
    DUE = "due"


def is_required_for(user: User) -> bool:
    """Whether the site demands a second factor of the user. One query where it demands one of groups."""
    named = settings.SECOND_FACTOR_REQUIRED
    if not named:
        return False
    if "everybody" in named or ("staff" in named and (user.is_staff or user.is_superuser)):
        return True
    groups = named - {"everybody", "staff"}
    return bool(groups) and user.groups.filter(name__in=groups).exists()


def factors_of(user: User) -> list[Authenticator]:
    """The user's authenticator app and passkeys, without recovery codes, the oldest first."""
    return list(Authenticator.objects.filter(user=user, type__in=FACTORS).order_by("pk"))


def has_factor(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())


def is_last_required(factor: Authenticator) -> bool:
    """Whether the user needs a second factor and has no other than this one."""
    if factor.type not in FACTORS:
        return False
    others = Authenticator.objects.filter(user=factor.user_id, type__in=FACTORS).exclude(pk=factor.pk)
    return not others.exists() and is_required_for(factor.user)


def standing_of(user: User) -> Standing:
    """Begins the days of grace where they have not begun."""
    if not is_required_for(user) or has_factor(user):
        return Standing.FINE
    now = timezone.now()
    if user.second_factor_due is None:
        due = now + timedelta(days=settings.SECOND_FACTOR_GRACE_DAYS)
        User.objects.filter(pk=user.pk, second_factor_due=None).update(second_factor_due=due)
        user.second_factor_due = due
    return Standing.DUE if user.second_factor_due <= now else Standing.GRACE


def due_date(user: User) -> datetime | None:
    """Until when the user may do without."""
    return user.second_factor_due


def standing_of_request(request: HttpRequest) -> Standing:
    """Of the request's user. A session in which nothing was missing is asked again after `ASK_AGAIN`."""
    user = request.user
    if not settings.SECOND_FACTOR_REQUIRED or not isinstance(user, User):
        return Standing.FINE
    if request.session.get(FROM_PROVIDER) or request.session.get(_CHECKED, 0) > time.time():
        return Standing.FINE
    standing = standing_of(user)
    if standing is Standing.FINE:
        request.session[_CHECKED] = int(time.time()) + ASK_AGAIN
    return standing


def postpone(request: HttpRequest) -> None:
    """The user of the session sets one up later; the session is not asked again while there are days left."""
    request.session[_POSTPONED] = True


def is_postponed(request: HttpRequest) -> bool:
    return bool(request.session.get(_POSTPONED))
