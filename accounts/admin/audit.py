"""The admin page of the audit log: search, filters and CSV export, read-only."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str

from accounts import audit
from accounts.lib.formatting import NOTHING, from_to
from accounts.lib.ids import lowest_uuid7
from accounts.lib.replica import reports_database
from accounts.lib.streaming import CSV_TYPE, csv_pieces, escape_formula, pages_by_key, stream_file
from accounts.lib.text_search import AUDIT, with_words
from accounts.merging import ids_of
from accounts.models import AuditEntry, User
from accounts.staff.background import ListFile, begin_export, is_long
from accounts.staff.columns import stamp
from accounts.staff.import_export import ask_for_export
from accounts.staff.recorded import HistoryAdmin

COLUMNS: Final = (
    "at", "actor_email", "verb", "object_type", "object_id", "conversation_id", "ip", "details", "reason", "changes",
    "subjects", "system_user",
)  # fmt: skip
PEOPLE_SHOWN: Final = 3  # of an entry in the list
LINK: Final = '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>'
SAID: Final = 120  # characters of the reason, of each value and of the details in the list
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


class PersonFilter(admin.SimpleListFilter):
    """Entries that concern one user, also as an account that was merged into theirs; other pages link here."""

    title, parameter_name = _("person concerned"), "subject"
    verbs: ClassVar[tuple[str, ...]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = _uuid(request.GET.get(self.parameter_name, ""))
        if chosen is None:
            return []
        return [(str(chosen), _emails([chosen]).get(chosen, gettext("erased")))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = _uuid(self.value() or "")
        if chosen is None:
            return queryset
        rows = queryset.filter(subjects__overlap=ids_of(chosen))
        return rows.filter(verb__in=self.verbs) if self.verbs else rows


class ReaderFilter(PersonFilter):
    """Of these, the entries that record that somebody read what the user wrote, or took it along."""

    title, parameter_name, verbs = _("messages read of"), "read_of", audit.READING


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _emails(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(User.objects.filter(pk__in=list(ids)).values_list("pk", "email"))


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
    list_display = ("time", "who", "verb", "what", "concerned", "said")
    list_filter = (VerbFilter, ObjectFilter, PersonFilter, ReaderFilter, ("at", DayFilter))
    list_filter_submit = True
    list_before_template = "admin/accounts/audit_export.html"
    lookups: ClassVar = frozenset({"conversation_id__exact", "actor__exact", "object_id__exact", "at_from", "at_to"})
    ordering = ("-id",)
    sorted_by: ClassVar = {"time": "id"}
    fields = (
        "time", "who", "verb", "what", "concerned", "reason", "change_table", "details", "conversation", "ip", "id",
    )  # fmt: skip
    readonly_fields = ("time", "who", "what", "concerned", "change_table", "conversation")
    search_help_text = _("Words or prefixes of email, verb, object or details; or an id")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with the addresses of the people on its page in one query."""
        found = super().get_changelist_instance(request)
        rows = list(found.result_list)
        found.result_list = rows
        names = _emails({one for row in rows for one in row.subjects[:PEOPLE_SHOWN]})
        for row in rows:
            row.names = names
        return found

    @admin.display(description=_("Time"), ordering="id")
    def time(self, row: AuditEntry) -> SafeString | str:
        return stamp(row.at)

    @admin.display(description=_("Actor"))
    def who(self, row: AuditEntry) -> str:
        if row.actor_id and row.actor_email:
            return _link("accounts_user_change", row.actor_id, row.actor_email)
        return row.actor_email or row.system_user or "–"

    @admin.display(description=_("Object"))
    def what(self, row: AuditEntry) -> str:
        """The kind, and the end of the id with a link to its page where there is one."""
        app, _dot, model = row.object_type.partition(".")
        if not row.object_id:
            return row.object_type
        name = f"{row.object_type} {row.object_id[-8:]}"
        return _link(f"{app}_{model}_change", row.object_id, name)

    @admin.display(description=_("Concerns"))
    def concerned(self, row: Any) -> str:
        shown = row.subjects[:PEOPLE_SHOWN]
        names = row.names if hasattr(row, "names") else _emails(shown)
        parts = [
            (_link("accounts_user_change", one, names[one]) if one in names else gettext("erased"),) for one in shown
        ]
        if more := len(row.subjects) - len(shown):
            parts.append((ngettext("and %(count)d more", "and %(count)d more", more) % {"count": more},))
        if not parts:
            return "–"
        return format_html('<span class="break-words min-w-0">{}</span>', format_html_join(", ", "{}", parts))

    @admin.display(description=_("Details"))
    def said(self, row: AuditEntry) -> str:
        """The reason, what changed, and details, in a line."""
        changed = [
            f"{name}: {from_to(str(before or NOTHING)[:SAID], str(after or NOTHING)[:SAID])}"
            for name, (before, after) in row.changes.items()
        ]
        parts = (row.reason[:SAID], *changed, row.details[:SAID])
        return " · ".join(filter(None, parts))[: 3 * SAID]

    @admin.display(description=_("Changes"))
    def change_table(self, row: AuditEntry) -> str:
        if not row.changes:
            return "–"
        head = (gettext("Field"), gettext("Before"), gettext("After"))
        rows = format_html_join(
            "", '<tr class="border-t border-base-200 dark:border-base-800"><th scope="row" class="font-semibold pr-4 '
            'py-2 text-left align-top">{}</th><td class="pr-4 py-2 break-words align-top">{}</td>'
            '<td class="py-2 break-words align-top">{}</td></tr>',
            ((name, before or "–", after or "–") for name, (before, after) in row.changes.items()),
        )  # fmt: skip
        return format_html(
            '<table class="w-full"><thead><tr><th class="pr-4 text-left">{}</th><th class="pr-4 text-left">{}</th>'
            '<th class="text-left">{}</th></tr></thead><tbody>{}</tbody></table>', *head, rows,
        )  # fmt: skip

    @admin.display(description=_("Conversation"))
    def conversation(self, row: AuditEntry) -> str:
        if row.conversation_id is None:
            return "–"
        address = f"{reverse('admin:accounts_auditentry_changelist')}?conversation_id__exact={row.conversation_id}"
        return format_html(LINK, address, row.conversation_id)

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
        if asked := ask_for_export(request, AuditEntry):
            return asked
        audit.record(request, "export", AuditEntry, details=request.GET.urlencode())
        if is_long(self.get_changelist_instance(request).get_queryset(request)):
            return begin_export(request, AuditEntry)
        file = self.list_file(request)
        return stream_file(request, file.name, CSV_TYPE, csv_pieces(file.columns, file.pages))

    def may_export(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    def list_file(self, request: HttpRequest) -> ListFile:
        """All pages of the list with the filters of the request's address, newest first."""
        rows = self.get_changelist_instance(request).get_queryset(request).using(reports_database())
        pages = (map(_cells, page) for page in pages_by_key(rows, ROWS_PER_PAGE, newest_first=True))
        return ListFile(f"audit-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv", COLUMNS, pages)


def _cells(entry: AuditEntry) -> list[str]:
    return [escape_formula(_cell(getattr(entry, column))) for column in COLUMNS]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return "" if value is None else str(value)


def _link(view: str, id_: object, text: str) -> str:
    """A link to a row's page, or the text where there is no such page."""
    try:
        address = reverse(f"admin:{view}", args=[id_])
    except NoReverseMatch:
        return text
    return format_html(LINK, address, text)
