"""The admin page of the audit log: search, filters and CSV export, read-only."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str

from accounts import audit
from accounts.lib.ids import lowest_uuid7
from accounts.lib.streaming import CSV_TYPE, csv_pieces, escape_formula, pages_by_key, stream_file
from accounts.lib.text_search import AUDIT, with_words
from accounts.models import AuditEntry
from accounts.staff.recorded import HistoryAdmin

COLUMNS: Final = ("at", "actor_email", "verb", "object_type", "object_id", "conversation_id", "ip", "details")
ROWS_PER_PAGE: Final = 2000  # of an export, in memory at a time
NEWEST: Final = 1000  # entries whose verbs and object types the filters offer


class NewestValuesFilter(admin.SimpleListFilter):
    """Offers a column's values among the newest entries, because all values would need a scan of the whole table."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        column = self.parameter_name or ""
        newest = AuditEntry.objects.order_by("-id").values_list(column, flat=True)[:NEWEST]
        chosen = request.GET.get(column)
        return [(value, value) for value in sorted({*newest, *([chosen] if chosen else [])})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.parameter_name or "": self.value()}) if self.value() else queryset


class VerbFilter(NewestValuesFilter):
    title, parameter_name = _("verb"), "verb"


class ObjectFilter(NewestValuesFilter):
    title, parameter_name = _("object"), "object_type"


class DayFilter(RangeDateFilter):  # type: ignore[misc]  # unfold ships no types
    """From one day to another, both included, in the site's time zone. Filters by id, as ids are ordered by time."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = (self._day(end) for end in ("from", "to"))
        if since is not None:
            queryset = queryset.filter(id__gte=_first_id(since))
        return queryset.filter(id__lt=_first_id(until + timedelta(days=1))) if until is not None else queryset

    def _day(self, end: str) -> datetime | None:
        found = parse_date_str(str(self.used_parameters.get(f"{self.parameter_name}_{end}", "")))
        return datetime.combine(found, time(), timezone.get_current_timezone()) if found else None


def _first_id(moment: datetime) -> uuid.UUID:
    return lowest_uuid7(int(moment.timestamp() * 1000))


@admin.register(AuditEntry)
class AuditEntryAdmin(HistoryAdmin):
    list_display = COLUMNS
    list_filter = (VerbFilter, ObjectFilter, ("at", DayFilter))
    list_filter_submit = True
    list_before_template = "admin/accounts/audit_export.html"
    lookups: ClassVar = frozenset({"conversation_id__exact", "actor__exact", "object_id__exact", "at_from", "at_to"})
    ordering = ("-id",)
    fields = COLUMNS
    search_help_text = _("Words or prefixes of email, verb, object or details; or an id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            id_ = uuid.UUID(term)
        except ValueError:
            return with_words(queryset, AUDIT, term), False
        asked = queryset.filter(object_id=str(id_)) | queryset.filter(conversation_id=id_)
        return asked | queryset.filter(actor=id_) | queryset.filter(pk=id_), False

    def get_urls(self) -> list[URLPattern]:
        export = path("export/", self.admin_site.admin_view(self.export_view), name="accounts_auditentry_export")
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Exports all pages of the list with its filters, newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request)
        audit.record(request, "export", AuditEntry, details=request.GET.urlencode())
        pages = (map(_cells, page) for page in pages_by_key(rows, ROWS_PER_PAGE, newest_first=True))
        name = f"audit-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
        return stream_file(request, name, CSV_TYPE, csv_pieces(COLUMNS, pages))


def _cells(entry: AuditEntry) -> list[str]:
    values = (getattr(entry, column) for column in COLUMNS)
    return [escape_formula("" if value is None else str(value)) for value in values]
