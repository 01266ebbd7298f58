"""Usage reports that are mailed every Monday for the week before: a readable table, and all rows as CSV."""

from __future__ import annotations

import io
import smtplib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext

from accounts.auth.adapter import listed_origin, mail_is_configured
from accounts.lib.formatting import money, number
from accounts.lib.streaming import rows_line
from accounts.models import UsageReport
from accounts.models.budgets import recipients_of
from accounts.quotas.usage_report import By, Row, group_rows, usage_rows, write_rows
from accounts.roles import all_roles

SHOWN: Final = 25  # rows of the mail's table; the file has all

logger = structlog.get_logger(__name__)


def week_before(today: date) -> tuple[date, date]:
    """The Monday and the Sunday of the week before."""
    monday = today - timedelta(days=today.weekday() + 7)
    return monday, monday + timedelta(days=6)


def mail_reports(today: date | None = None) -> int:
    """Mails each report whose last week was not mailed yet; returns how many. A mail that fails is sent the next time.

    The first report of a week that is over is sent with the first check after it, Monday at 00:00 UTC.
    """
    if not mail_is_configured():
        return 0
    monday, sunday = week_before(today or datetime.now(UTC).date())
    due = UsageReport.objects.filter(Q(last_week=None) | Q(last_week__lt=monday), enabled=True)
    mailed = 0
    for report in due.exclude(recipients="").select_related("group"):
        before = report.last_week
        # Noted first, and by one of two checks at once: nobody gets a mail twice.
        if not UsageReport.objects.filter(pk=report.pk, last_week=before).update(last_week=monday):
            continue
        try:
            message_of(report, monday, sunday).send()
        except (smtplib.SMTPException, OSError) as error:
            UsageReport.objects.filter(pk=report.pk, last_week=monday).update(last_week=before)
            logger.warning("report_mail_failed", report=report.pk, error=type(error).__name__)
            continue
        mailed += 1
    return mailed


def message_of(report: UsageReport, since: date, until: date) -> EmailMultiAlternatives:
    """The mail about a report: text and HTML with the first rows, and a CSV file with all of them."""
    rows, total = _rows(report, since, until)
    by: By = report.by  # type: ignore[assignment]  # one of the choices
    context = {
        "name": report.name, "since": since, "until": until, "kind": report.get_by_display(), "group": report.group,
        "rows": [_shown(row) for row in rows[:SHOWN]], "more": max(0, len(rows) - SHOWN), "total": _shown(total),
        "address": _address(report, since, until), "site": settings.SITE_NAME,
    }  # fmt: skip
    subject = gettext("%(site)s: %(name)s, %(since)s to %(until)s") % context
    message = EmailMultiAlternatives(
        subject.replace("\n", " "), render_to_string("admin/mails/usage_report.txt", context),
        to=recipients_of(report.recipients),
    )  # fmt: skip
    message.attach_alternative(render_to_string("admin/mails/usage_report.html", context), "text/html")
    out = io.StringIO()
    write_rows(rows, by, out, "csv")
    text = f"{out.getvalue()}{rows_line(len(rows))}\n"
    message.attach(f"usage-by-{report.by}-{since}-{until}.csv", text, "text/csv")
    return message


def _rows(report: UsageReport, since: date, until: date) -> tuple[list[Row], Row]:
    """The rows, and the total, which counts users of several groups once."""
    if report.by == "group":
        found = group_rows(since, until, roles=[role.name for role in all_roles()])
        return found.rows, found.total
    by: By = report.by  # type: ignore[assignment]  # one of the choices
    rows = usage_rows(since, until, by, group=report.group_id)
    days = usage_rows(since, until, "day", group=report.group_id)
    names = [name for name in Row.__dataclass_fields__ if name not in ("name", "key")]
    sums: dict[str, Any] = {name: sum(getattr(day, name) for day in days) for name in names}
    return rows, Row(gettext("Total"), **sums)


def _shown(row: Row) -> dict[str, str]:
    return {
        "name": gettext("Total") if row.name == "total" else row.name, "messages": number(row.messages),
        "tokens": number(row.tokens), "cost": money(Decimal(row.cost)), "unpriced": number(row.unpriced),
    }  # fmt: skip


def _address(report: UsageReport, since: date, until: date) -> str:
    """Where the report is in the admin; empty where the site's address is not known."""
    origin = listed_origin()
    return f"{origin}{address_of(report, str(since), str(until))}" if origin else ""


def address_of(report: UsageReport, since: str, until: str) -> str:
    """The usage page with what the report shows, in a time."""
    query = {"from": since, "to": until, "by": report.by}
    if report.group_id is not None:
        query["group"] = str(report.group_id)
    return f"{reverse('admin:usage')}?{urlencode(query)}"
