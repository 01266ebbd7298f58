"""Filters of the lists of runs and recordings. Each uses an index that also gives the order, newest first."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.formatting import moment
from accounts.models import User
from chat.models import FAILED, SLOW_MS, Member, Run

NEWEST: Final = 1000  # runs from which a filter takes the models and error codes it offers
SPANS: Final = {
    "1h": _("Last hour"), "24h": _("Last 24 hours"), "7d": _("Last 7 days"), "30d": _("Last 30 days"),
}  # fmt: skip
_HOURS: Final = {"1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}


class Filter(admin.SimpleListFilter):
    """A filter whose current value is always among the choices, also when it comes from a link."""

    def label_of(self, value: str) -> str:
        return value

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        offered = self.offered()
        value = request.GET.get(self.parameter_name or "")
        if value and value not in dict(offered):
            offered.append((value, self.label_of(value)))
        return offered

    def offered(self) -> list[tuple[str, str]]:
        return []


class ModelFilter(Filter):
    """Offers the models of the newest runs. Listing the models of all runs would read the whole table."""

    title = _("model")
    parameter_name = "model"

    def offered(self) -> list[tuple[str, str]]:
        newest = Run.objects.order_by("-created_at").values_list("model", flat=True)[:NEWEST]
        return [(name, name) for name in sorted(set(newest))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class ErrorFilter(Filter):
    """Filters failed runs by error code. "any" is every failure, also one without a code."""

    title = _("error")
    parameter_name = "error_code"

    def offered(self) -> list[tuple[str, str]]:
        newest = Run.objects.filter(status__in=FAILED).order_by("-created_at").values_list("error_code", flat=True)
        return [("any", gettext("Any failure")), *((code, code) for code in sorted(set(newest[:NEWEST])) if code)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "any":
            return queryset.filter(status__in=FAILED)
        return queryset.filter(~Q(error_code=""), error_code=self.value()) if self.value() else queryset


class SlowFilter(admin.SimpleListFilter):
    title = _("time to first token")
    parameter_name = "slow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", gettext("%(count)d s or more") % {"count": SLOW_MS // 1000})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(first_token_ms__gte=SLOW_MS) if self.value() == "yes" else queryset


class UserFilter(Filter):
    """Filters by user. Offers no choices: its value comes from a link. Lists are searched by email address instead."""

    title = _("user")
    parameter_name = "requested_by__exact"

    def label_of(self, value: str) -> str:
        email = User.objects.filter(pk__in=[_uuid(value)]).values_list("email", flat=True).first()
        return email or gettext("unknown user")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(requested_by=_uuid(self.value())) if self.value() else queryset


class MemberFilter(UserFilter):
    """Conversations of a user. Its value comes from a link."""

    title = _("member")
    parameter_name = "member"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(pk__in=Member.objects.filter(user=_uuid(self.value())).values("conversation"))


class TrashFilter(Filter):
    """Conversations in the trash of their owners, from which staff restore them."""

    title = _("trash")
    parameter_name = "trash"

    def offered(self) -> list[tuple[str, str]]:
        return [("yes", gettext("In the trash"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(deleted_at__isnull=False) if self.value() == "yes" else queryset


class PeriodFilter(Filter):
    """ "1h", "24h" and so on, until now; or "<from>/<until>" in ISO 8601, of which either may be missing."""

    title = _("started in")
    parameter_name = "period"

    def offered(self) -> list[tuple[str, str]]:
        return [(key, str(title)) for key, title in SPANS.items()]

    def label_of(self, value: str) -> str:
        since, until = _interval(value)
        return " – ".join((moment(since) if since else "", moment(until) if until else gettext("now")))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        since, until = _interval(self.value() or "")
        if since is not None:
            queryset = queryset.filter(created_at__gte=since)
        return queryset.filter(created_at__lt=until) if until is not None else queryset


def _interval(value: str) -> tuple[datetime | None, datetime | None]:
    if value in _HOURS:
        return timezone.now() - timedelta(hours=_HOURS[value]), None
    since, _, until = value.partition("/")
    return _moment(since), _moment(until)


def _moment(text: str) -> datetime | None:
    """None for an empty or invalid time: an invalid address shows more rows, never an error."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text or "")
    except ValueError:
        return None
