"""The admin pages of budgets and of usage reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.formatting import NOTHING, money
from accounts.models import Budget, UsageReport
from accounts.models.budgets import recipients_of
from accounts.staff.budgets import LEVELS, spent_of
from accounts.staff.recorded import RecordedAdmin
from accounts.staff.report_mails import address_of, week_before


@admin.register(Budget)
class BudgetAdmin(RecordedAdmin):
    list_display = ("name", "shown_amount", "group", "model", "alert", "enabled")
    list_select_related = ("group",)
    search_fields = ("name", "model")
    ordering = ("name",)
    fields = ("name", "amount", "group", "model", "recipients", "enabled", "spent")
    readonly_fields = ("spent",)

    @admin.display(description=_("Amount per month"))
    def shown_amount(self, row: Budget) -> str:
        return money(row.amount)

    @admin.display(description=_("Alert this month"))
    def alert(self, row: Budget) -> str:
        month = datetime.now(UTC).date().replace(day=1)
        return f"{row.alerted}\u202f%" if row.month == month and row.alerted else NOTHING

    @admin.display(description=_("Spent this month"))
    def spent(self, row: Budget) -> str:
        if row._state.adding:  # noqa: SLF001  # Django documents it
            levels = ", ".join(f"{level}\u202f%" for level in LEVELS)
            return gettext("Mails are sent at %(levels)s.") % {"levels": levels}
        spent = spent_of(row, datetime.now(UTC).date().replace(day=1))
        shown = {"spent": money(spent), "percent": f"{100 * spent / row.amount:.0f}"}
        return gettext("%(spent)s, %(percent)s\u202f%% of the budget") % shown


@admin.register(UsageReport)
class UsageReportAdmin(RecordedAdmin):
    list_display = ("name", "by", "group", "people", "enabled", "last_week", "open")
    list_select_related = ("group",)
    search_fields = ("name",)
    ordering = ("name",)
    fields: ClassVar = ("name", "by", "group", "recipients", "enabled")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the usage page shows, where its “Save” leads here."""
        return {name: request.GET[name] for name in ("by", "group") if name in request.GET}

    @admin.display(description=_("Recipients"))
    def people(self, row: UsageReport) -> str:
        return ", ".join(recipients_of(row.recipients)) or NOTHING

    @admin.display(description=_("Usage"))
    def open(self, row: UsageReport) -> SafeString:
        since, until = week_before(datetime.now(UTC).date())
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>',
            address_of(row, str(since), str(until)), gettext("Show"),
        )  # fmt: skip
