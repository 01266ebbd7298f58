"""Keeps the time zone and the language of a user's browser."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from accounts.auth.language import browser_language
from accounts.models import User
from chat.views.decorators import zone_of


def note_zone(request: HttpRequest, user: User) -> None:
    """Keeps the time zone of the user's browser, for tools that are asked for the time, and its language, for mails and
    notifications. Writes only what is new.
    """
    new: dict[str, str] = {}
    zone, language = zone_of(request).key, browser_language(request)
    if "timezone" in request.COOKIES and zone != user.time_zone and len(zone) <= 64:
        new["time_zone"] = zone
    if language != user.browser_language and (user.browser_language or language != settings.LANGUAGE_CODE):
        new["browser_language"] = language
    if new:
        User.objects.filter(pk=user.pk).update(**new)
