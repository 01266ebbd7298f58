"""The admin pages of plans, quotas, prices, top-ups and usage."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from accounts.admin.resources import PlanResource, PriceResource, QuotaResource, UsageResource
from accounts.models import Allowance, DailyUsage, Plan, Price, Quota, TopUp, UsageEntry, User
from accounts.staff.columns import PlainDecimals
from accounts.staff.import_export import ExportAdmin, ImportExportAdmin
from accounts.staff.recorded import HistoryAdmin, RecordedAdmin


class QuotaInline(PlainDecimals, TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = Quota
    fields = ("unit", "period", "limit", "hard", "model")
    extra = 0
    hide_title = True


@admin.register(Plan)
class PlanAdmin(ImportExportAdmin, RecordedAdmin):
    resource_classes: ClassVar = [PlanResource]
    list_display = ("name", "time_zone", "is_default")
    search_fields = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "time_zone", "is_default", "unwatched_runs", "show_costs", "api_tokens")}),
        (
            _("Answers with tools"),
            {"fields": ("tool_steps", "tool_calls_at_once", "tool_seconds", "tool_tokens", "tool_cost")},
        ),
        (_("Files"), {"fields": ("file_mb", "storage_mb")}),
        (_("Retention"), {"fields": ("retention_days", "trash_days", "temporary_hours", "audio_days", "case_days")}),
    )
    inlines = (QuotaInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        is_free = not isinstance(obj, Plan) or not (obj.is_default or User.objects.filter(plan=obj).exists())
        return bool(super().has_delete_permission(request, obj)) and is_free


@admin.register(Quota)
class QuotaAdmin(ImportExportAdmin, RecordedAdmin):
    resource_classes: ClassVar = [QuotaResource]
    list_display = ("__str__", "plan", "group", "user", "hard", "shared")
    list_select_related = ("plan", "group", "user")
    list_filter = ("unit", "period")
    lookups: ClassVar = frozenset({"unit__exact", "period__exact", "plan__exact", "user__exact", "group__exact"})
    search_fields = ("user__email", "plan__name", "group__name")
    search_help_text = _("Email address, plan or group")
    raw_id_fields = ("user",)
    fields = ("plan", "group", "user", "unit", "period", "limit", "hard", "shared", "model", "starts_at")


@admin.register(Price)
class PriceAdmin(ImportExportAdmin, RecordedAdmin):
    resource_classes: ClassVar = [PriceResource]
    list_display = ("shown_model", "endpoint", "valid_from", "input_per_million", "output_per_million", "currency")
    search_fields = ("model", "endpoint")
    ordering = ("model", "endpoint", "-valid_from")

    @admin.display(description=_("Model"), ordering="model")
    def shown_model(self, row: Price) -> str:
        return row.model or gettext("any")

    @admin.display(description=_("Currency"))
    def currency(self, row: Price) -> str:
        return settings.CURRENCY


@admin.register(TopUp)
class TopUpAdmin(HistoryAdmin):
    """Read-only: top-ups are made on the user's page."""

    list_display = ("created_at", "user", "quota", "amount", "is_reset", "by", "reason")
    list_select_related = ("user", "quota", "by")
    ordering = ("-id",)
    search_help_text = _("A user's email address or id")
    fields = list_display

    def search(self, rows: QuerySet[TopUp], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[TopUp]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(user=id_)


@admin.register(Allowance)
class AllowanceAdmin(HistoryAdmin):
    list_display = ("user", "quota", "starts_at", "ends_at", "used", "reserved", "extra")
    list_select_related = ("user", "quota")
    lookups: ClassVar = frozenset({"user__exact"})
    ordering = ("-id",)
    fields = list_display
    search_help_text = _("A user's email address")

    def search(self, rows: QuerySet[Allowance], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Allowance]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(user=id_)


@admin.register(UsageEntry)
class UsageEntryAdmin(ExportAdmin, HistoryAdmin):
    resource_classes: ClassVar = [UsageResource]
    list_display = (
        "at", "who", "model", "endpoint", "input_tokens", "output_tokens", "audio_seconds", "cost", "estimated",
        "purpose",
    )  # fmt: skip
    list_select_related = ("user",)
    lookups: ClassVar = frozenset({"user__exact", "run_id__exact", "conversation_id__exact"})
    ordering = ("-at",)
    sorted_by: ClassVar = {"at": "at"}
    fields = (
        "id", "at", "who", "run_id", "recording_id", "conversation_id", "model", "endpoint", "messages", "input_tokens",
        "cached_tokens",
        "output_tokens", "reasoning_tokens", "audio_seconds", "cost", "estimated", "purpose",
    )  # fmt: skip
    readonly_fields = ("who",)
    search_help_text = _("A user's email address, or the id of a run, recording, conversation or user")

    def search(self, rows: QuerySet[UsageEntry], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[UsageEntry]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(Q(run_id=id_) | Q(recording_id=id_) | Q(conversation_id=id_) | Q(user=id_))

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[UsageEntry]:
        rows: QuerySet[UsageEntry] = super().get_export_queryset(request)
        users = User.objects.filter(pk=OuterRef("user_id"))  # erased users are missing
        return rows.select_related(None).annotate(email=Subquery(users.values("email")[:1]))

    @admin.display(description=_("User"))
    def who(self, row: UsageEntry) -> str:
        try:
            return str(row.user or "–")
        except User.DoesNotExist:  # erased; the entry stays
            return str(row.user_id)


@admin.register(DailyUsage)
class DailyUsageAdmin(HistoryAdmin):
    list_display = ("day", "who", "model", "endpoint", "messages", "input_tokens", "output_tokens", "cost", "unpriced")
    list_select_related = ("user",)
    lookups: ClassVar = frozenset({"day__exact", "user__exact"})
    ordering = ("-day", "-user", "-model", "-endpoint")  # as the index has it
    fields = (*list_display, "cached_tokens", "reasoning_tokens", "audio_seconds", "estimated")
    readonly_fields = ("who",)
    search_help_text = _("A user's email address")

    def search(self, rows: QuerySet[DailyUsage], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[DailyUsage]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(user=id_)

    @admin.display(description=_("User"))
    def who(self, row: DailyUsage) -> str:
        try:
            return str(row.user or "–")
        except User.DoesNotExist:  # erased
            return str(row.user_id)
