"""The periodic jobs in the admin: when each is due, how its last run ended, and what it found."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts import audit
from accounts.auth.adapter import mail_is_configured
from accounts.lib.formatting import NOTHING, clock, number, seconds
from accounts.lib.outage import OUTAGE
from accounts.staff.recorded import HistoryAdmin
from chat.jobs.periodic import interval_of, run_now
from chat.jobs.queues import BrokerAway
from chat.models import PeriodicJob, Webhook

BACKUP: Final = "backup"  # `manage.py backup` records itself under this name (`config.ops.upkeep`)

logger = structlog.get_logger(__name__)


@admin.register(PeriodicJob)
class PeriodicJobAdmin(HistoryAdmin):
    list_display = ("name", "every", "due", "published", "ended", "took", "state")
    ordering = ("name",)
    search_help_text = _("The name of a job")
    fields = ("name", "every", "due", "published", "started", "ended", "took", "state", "found")
    readonly_fields = fields
    actions = ("run_selected",)
    change_form_outer_before_template = "admin/chat/periodic_job.html"

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_periodicjob")

    def get_urls(self) -> list[URLPattern]:
        run = self.admin_site.admin_view(require_POST(self.run_view))
        return [path("<str:name>/run/", run, name="chat_periodicjob_run"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {
            "may_run_now": self.has_run_permission(request) and interval_of(object_id) is not None,
            "made_elsewhere": object_id == BACKUP,
            **(extra_context or {}),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return response

    def run_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Has one job done now, from its page."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        self._run(request, get_object_or_404(PeriodicJob, pk=name))
        return redirect("admin:chat_periodicjob_change", name)

    @admin.action(description=_("Run now"), permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[PeriodicJob]) -> None:
        for job in queryset:
            self._run(request, job)

    def _run(self, request: HttpRequest, job: PeriodicJob) -> None:
        names = {"name": job.name}
        if interval_of(job.name) is None:
            messages.error(request, gettext("“%(name)s” is not scheduled here, so it cannot be started here.") % names)
            return
        audit.record(request, "run_job", job)
        try:
            run_now(job.name)
        except (BrokerAway, *OUTAGE) as error:
            logger.warning("enqueue_failed", job=job.name, error=type(error).__name__)
            messages.error(request, gettext("“%(name)s” was not started: the broker cannot be reached.") % names)
            return
        said = gettext("“%(name)s” was handed to a worker. Load the page again to see how it ends.")
        messages.success(request, said % names)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(name__icontains=search_term.strip()), False

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        return rows.none()  # `get_search_results` searches by name

    @admin.display(description=_("Every"))
    def every(self, row: PeriodicJob) -> str:
        if row.name == BACKUP:
            return gettext("by a timer of your own")
        length = interval_of(row.name)
        return seconds(length.total_seconds()) if length else gettext("no longer scheduled")

    @admin.display(description=_("Due"))
    def due(self, row: PeriodicJob) -> str:
        found = _due(row)
        if found is None:
            return NOTHING
        due, late = found
        return clock(due) if timezone.now() < late else gettext("overdue since %(time)s") % {"time": clock(due)}

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
        if row.started_at is not None and (row.ended_at is None or row.ended_at < row.started_at):
            return gettext("in progress since %(time)s") % {"time": clock(row.started_at)}
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


def _due(row: PeriodicJob) -> tuple[datetime, datetime] | None:
    """When a job is due, and from when on it is overdue; None if nothing says so."""
    if row.name == BACKUP:
        if not settings.BACKUP_DAYS or row.ended_at is None:
            return None
        due = row.ended_at + timedelta(days=settings.BACKUP_DAYS)
        return due, due
    length = interval_of(row.name)
    if length is None or row.published_at is None:
        return None
    return row.published_at + length, row.published_at + 2 * length
