"""The export of moderation cases: what was found and decided, without any text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path

from accounts import audit
from accounts.auth.requests import user_of
from accounts.lib.streaming import CSV_TYPE, csv_pieces, escape_formula, pages_by_key, stream_file
from accounts.staff.background import ListFile, begin_export, is_long
from chat.models import ModerationCase
from chat.review import queue

ROWS_PER_PAGE: Final = 1000
COLUMNS: Final = (
    "id", "opened_at", "status", "severity", "category", "target", "direction", "origin", "action", "person",
    "conversation_id", "rules", "decided_at", "decisions", "decided_by",
)  # fmt: skip


class CaseExport:
    """For `ModerationCaseAdmin`: needs the permissions to see the queue and to export lists."""

    admin_site: Any

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        named = path("export/", view, name="chat_moderationcase_export")
        return [named, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's, which this is mixed into

    def may_export(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["chat.view_moderationcase", "accounts.export_lists"])

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Exports all pages of the queue with its filters."""
        if not self.may_export(request):
            raise PermissionDenied
        audit.record(request, "export", ModerationCase, details=request.GET.urlencode())
        if is_long(queue.all_rows(user_of(request), queue.parse_query(request.GET.dict()))):
            return begin_export(request, ModerationCase)
        file = self.list_file(request)
        return stream_file(request, file.name, CSV_TYPE, csv_pieces(file.columns, file.pages, bom=True))

    def list_file(self, request: HttpRequest) -> ListFile:
        rows = queue.all_rows(user_of(request), queue.parse_query(request.GET.dict()))
        rows = rows.prefetch_related("decisions__decided_by")
        pages = (map(_cells, page) for page in pages_by_key(rows, ROWS_PER_PAGE))
        return ListFile(f"cases-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv", COLUMNS, pages, bom=True)


def _cells(case: ModerationCase) -> list[str]:
    made = list(case.decisions.all())
    names = [str(rule.get("name", "")) for rule in case.rules if isinstance(rule, dict)]
    cells = (
        case.pk, case.opened_at, case.status, case.severity, case.category, case.target, case.direction, case.origin,
        case.action, case.person or "", case.conversation_id or "", "; ".join(filter(None, names)),
        case.decided_at or "", "; ".join(one.kind for one in made),
        "; ".join(str(one.decided_by or "policy") for one in made),
    )  # fmt: skip
    return [escape_formula(str(cell)) for cell in cells]
