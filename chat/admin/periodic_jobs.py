"""The periodic jobs in the admin: when each is due, how its last run ended, and what it found."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.auth.adapter import mail_is_configured
from accounts.lib.formatting import NOTHING, clock, number, seconds
from accounts.staff.recorded import HistoryAdmin
from chat.models import PeriodicJob, Webhook


@admin.register(PeriodicJob)
class PeriodicJobAdmin(HistoryAdmin):
    list_display = ("name", "every", "due", "published", "ended", "took", "state")
    ordering = ("name",)
    search_help_text = _("The name of a job")
    fields = ("name", "every", "due", "published", "started", "ended", "took", "state", "found")
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(name__icontains=search_term.strip()), False

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        return rows.none()  # `get_search_results` searches by name

    @admin.display(description=_("Every"))
    def every(self, row: PeriodicJob) -> str:
        length = _interval(row)
        return seconds(length.total_seconds()) if length else gettext("no longer scheduled")

    @admin.display(description=_("Due"))
    def due(self, row: PeriodicJob) -> str:
        length = _interval(row)
        if length is None or row.published_at is None:
            return NOTHING
        due = row.published_at + length
        return clock(due) if due > timezone.now() - length else gettext("overdue since %(time)s") % {"time": clock(due)}

    @admin.display(description=_("Last published"))
    def published(self, row: PeriodicJob) -> str:
        return clock(row.published_at) if row.published_at else NOTHING

    @admin.display(description=_("Last started"))
    def started(self, row: PeriodicJob) -> str:
        return clock(row.started_at) if row.started_at else NOTHING

    @admin.display(description=_("Last success"))
    def ended(self, row: PeriodicJob) -> str:
        return clock(row.ended_at) if row.ended_at else NOTHING

    @admin.display(description=_("Took"))
    def took(self, row: PeriodicJob) -> str:
        return seconds(row.seconds) if row.seconds is not None else NOTHING

    @admin.display(description=_("State"))
    def state(self, row: PeriodicJob) -> str:
        if row.error:
            return gettext("failed: %(error)s") % {"error": row.error}
        if _is_idle(row.name):
            return gettext("not set up")
        if left := row.report.get("left"):
            rows = sum(one["rows"] for one in left.values())
            return gettext("%(count)s expired rows are left") % {"count": number(rows)}
        return gettext("succeeded") if row.ended_at else NOTHING

    @admin.display(description=_("Outcome"))
    def found(self, row: PeriodicJob) -> str:
        if not row.report:
            return NOTHING
        return format_html('<pre class="whitespace-pre-wrap break-words">{}</pre>', json.dumps(row.report, indent=2))


def _is_idle(name: str) -> bool:
    """Whether a job has nothing to do because what it is for is not set up."""
    if name == "mail-mentions":
        return not (settings.MENTION_MAIL_MINUTES and mail_is_configured())
    return name == "send-webhooks" and not Webhook.objects.filter(enabled=True).exists()


def _interval(row: PeriodicJob) -> timedelta | None:
    known = settings.CELERY_BEAT_SCHEDULE.get(row.name)
    return timedelta(seconds=known["schedule"]) if known else None
