"""The policy of strikes in the admin: how many strikes a decision is, and what they lead to. Strikes are read-only."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.staff.recorded import HistoryAdmin, RecordedAdmin
from chat.admin.links import page_link
from chat.models import PolicyStep, Strike, StrikeScale


@admin.register(PolicyStep)
class PolicyStepAdmin(RecordedAdmin):
    list_display = ("__str__", "strikes", "days", "consequence", "hours", "enabled")
    list_filter = ("enabled", "consequence")
    ordering = ("strikes", "pk")


@admin.register(StrikeScale)
class StrikeScaleAdmin(RecordedAdmin):
    list_display = ("severity", "strikes", "days")
    ordering = ("severity",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("severity",) if obj else ()


@admin.register(Strike)
class StrikeAdmin(HistoryAdmin):
    list_display = ("person", "count", "given_at", "expires_at", "taken_back_at", "case")
    list_display_links = None
    list_select_related = ("person", "decision")
    lookups: ClassVar = frozenset({"person__exact"})
    ordering = ("-id",)
    search_help_text = _("A person's email address")

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is None:
            return rows.filter(person=id_)
        return rows.filter(person__in=User.objects.filter(email=email).values("pk"))

    @admin.display(description=_("Case"))
    def case(self, row: Strike) -> SafeString | str:
        return page_link("moderationcase", row.decision.case_id)
