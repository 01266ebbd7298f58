"""Filters of the users' list."""

from __future__ import annotations

from typing import Any

import redis
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.online import users_online


class OnlineFilter(admin.SimpleListFilter):
    """Users with a page open now, according to Redis."""

    title = _("online")
    parameter_name = "online"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", gettext("Online now"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "yes":
            return queryset
        try:
            return queryset.filter(pk__in=users_online())
        except (redis.RedisError, OSError):
            messages.error(request, gettext("Redis does not respond, so it is unknown who is online."))
            return queryset.none()


class WaitingFilter(admin.SimpleListFilter):
    """Users who signed up and wait for approval (SIGN_UP=approval)."""

    title = _("approval")
    parameter_name = "approval"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", gettext("Awaiting approval"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(awaits_approval=True) if self.value() == "waiting" else queryset
