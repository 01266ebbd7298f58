"""How much of each budget is spent this month, and the mails about it."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q, Sum
from django.urls import reverse
from django.utils.translation import gettext

from accounts.auth.adapter import listed_origin, mail_is_configured
from accounts.lib.formatting import money
from accounts.models import Budget, DailyUsage, UsageEntry
from accounts.models.budgets import recipients_of

LEVELS: Final = (50, 80, 100)  # percent
MOST_KNOWN: Final = 50  # budgets with figures of their own in `/metrics` and `doctor`, by name

logger = structlog.get_logger(__name__)


def spent_of(budget: Budget, month: date) -> Decimal:
    """What was spent in the calendar month (UTC) that begins with `month`, as far as prices are known."""
    if budget.group_id is None:
        rows = DailyUsage.objects.filter(day__gte=month)
        if budget.model:
            rows = rows.filter(model=budget.model)
        return rows.aggregate(cost=Sum("cost"))["cost"] or Decimal(0)
    entries = UsageEntry.objects.filter(
        at__gte=datetime.combine(month, time.min, UTC), groups__contains=[budget.group_id]
    )
    if budget.model:
        entries = entries.filter(model=budget.model)
    return entries.aggregate(cost=Sum("cost"))["cost"] or Decimal(0)


def level_of(spent: Decimal, amount: Decimal) -> int:
    """The highest of `LEVELS` that is reached; 0: none."""
    return max((level for level in LEVELS if spent * 100 >= amount * level), default=0)


@dataclass(frozen=True, slots=True)
class Spending:
    """What has been spent of a budget in this calendar month (UTC), in CURRENCY."""

    name: str
    spent: Decimal
    amount: Decimal

    @property
    def percent(self) -> int:
        return int(self.spent * 100 / self.amount)


def read_spending() -> list[Spending]:
    """Of each enabled budget, as `check_budgets` found this month; without those that it has not come to yet."""
    month = datetime.now(UTC).date().replace(day=1)
    rows = Budget.objects.filter(enabled=True, spent_at__gte=datetime.combine(month, time.min, UTC)).order_by("name")
    found = rows.values_list("name", "spent_amount", "amount")[:MOST_KNOWN]
    return [Spending(name, spent or Decimal(0), amount) for name, spent, amount in found]


def check_budgets(today: date | None = None) -> int:
    """Notes what each budget has spent, for `read_spending`, and mails about each that has reached a level it had not
    reached this month; returns about how many.

    A mail that fails is sent by the next check.
    """
    month = (today or datetime.now(UTC).date()).replace(day=1)
    mailed = 0
    can_mail = mail_is_configured()
    for budget in Budget.objects.filter(enabled=True).select_related("group"):
        before = budget.alerted if budget.month == month else 0
        spent = spent_of(budget, month)
        Budget.objects.filter(pk=budget.pk).update(spent_amount=spent, spent_at=datetime.now(UTC))
        level = level_of(spent, budget.amount)
        if level <= before or not can_mail:
            continue
        # Noted first, and by one of two checks at once: nobody gets a mail twice.
        known = Budget.objects.filter(pk=budget.pk).filter(~Q(month=month) | Q(month=None) | Q(alerted=before))
        if not known.update(month=month, alerted=level):
            continue
        try:
            _mail(budget, spent, level)
        except (smtplib.SMTPException, OSError) as error:
            Budget.objects.filter(pk=budget.pk, month=month, alerted=level).update(alerted=before)
            logger.warning("budget_mail_failed", budget=budget.pk, error=type(error).__name__)
            continue
        logger.info("budget_level_reached", budget=budget.pk, level=level)
        mailed += 1
    return mailed


def _mail(budget: Budget, spent: Decimal, level: int) -> None:
    facts = {
        "name": budget.name, "level": level, "spent": money(spent), "amount": money(budget.amount),
        "site": settings.SITE_NAME,
    }  # fmt: skip
    lines = [
        gettext("%(spent)s of the %(amount)s of the budget “%(name)s” have been spent this month (UTC).") % facts,
        gettext("Answers of models without a price are not included. The budget refuses nothing: quotas do."),
    ]
    if origin := listed_origin():
        lines.append(f"{origin}{reverse('admin:usage')}")
    subject = gettext("%(site)s: %(level)d %% of the budget “%(name)s”") % facts
    EmailMessage(subject.replace("\n", " "), "\n\n".join(lines), to=recipients_of(budget.recipients)).send()
