"""Keeps the time zone of a user's browser."""

from __future__ import annotations

from django.http import HttpRequest

from accounts.models import User
from chat.views.decorators import zone_of


def note_zone(request: HttpRequest, user: User) -> None:
    """Keeps the time zone of the user's browser, for tools that are asked for the time. Writes only what is new."""
    zone = zone_of(request).key
    if "timezone" in request.COOKIES and zone != user.time_zone and len(zone) <= 64:
        User.objects.filter(pk=user.pk).update(time_zone=zone)
