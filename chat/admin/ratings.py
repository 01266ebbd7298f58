"""Ratings of answers in the admin, with figures by model above the list."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.staff.recorded import HistoryAdmin
from chat.admin.filters import Filter
from chat.admin.links import page_link
from chat.models import Rating

DAYS: Final = 30
MOST_MODELS: Final = 50  # in the table of figures


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """The ratings of one model's answers in the last `DAYS` days. `reasons`: how many have one."""

    model: str
    good: int
    bad: int
    reasons: int

    @property
    def percent(self) -> int:
        """How many of a hundred ratings are good."""
        return round(100 * self.good / (self.good + self.bad))


def quality_by_model() -> list[ModelQuality]:
    """The models that were rated in the last `DAYS` days, those with most ratings first."""
    since = timezone.now() - timedelta(days=DAYS)
    counted = (
        Rating.objects.filter(rated_at__gte=since)
        .order_by()
        .values("model")
        .annotate(
            good=Count("pk", filter=Q(value=1)), bad=Count("pk", filter=Q(value=-1)),
            reasons=Count("pk", filter=~Q(note="")), total=Count("pk"),
        )
        .order_by("-total", "model")[:MOST_MODELS]
    )  # fmt: skip
    return [
        ModelQuality(row["model"] or gettext("unknown"), row["good"], row["bad"], row["reasons"]) for row in counted
    ]


class RatedModelFilter(Filter):
    """Offers the models that were rated lately."""

    title = _("model")
    parameter_name = "model"

    def offered(self) -> list[tuple[str, str]]:
        return [(one.model, one.model) for one in quality_by_model()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(model=self.value()) if self.value() else queryset


@admin.register(Rating)
class RatingAdmin(HistoryAdmin):
    """Who rated which answer, and why. The answer itself needs the permission to read messages."""

    list_display = ("rated_at", "opinion", "model", "note", "message_link", "user")
    list_display_links = ("rated_at",)
    list_select_related = ("user",)
    list_before_template = "admin/chat/ratings.html"
    list_filter = ("value", RatedModelFilter)
    lookups: ClassVar = frozenset({"value__exact", "user__exact", "message__exact"})
    ordering = ("-rated_at",)
    search_help_text = _("Message or conversation id, or a user's email address")
    fields = ("opinion", "note", "model", "message_link", "user", "rated_at")
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        shown = {"quality": quality_by_model(), "quality_days": DAYS} if self.has_view_permission(request) else {}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(message=id_) | rows.filter(message__conversation=id_)

    @admin.display(description=_("Rating"))
    def opinion(self, row: Rating) -> str:
        return row.get_value_display()

    @admin.display(description=_("Answer"))
    def message_link(self, row: Rating) -> SafeString | str:
        return page_link("message", row.message_id)
