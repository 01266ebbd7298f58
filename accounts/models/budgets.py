"""Budgets, which mail when much of their money is spent, and usage reports, which are mailed every week."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models.fields import MORE_THAN_NONE, amount_field

MOST_RECIPIENTS = 20


def check_recipients(text: str) -> None:
    """Raises `ValidationError` unless each line is an email address, and there are at least one and at most 20."""
    lines = recipients_of(text)
    if not 1 <= len(lines) <= MOST_RECIPIENTS:
        raise ValidationError(gettext("Enter at least one and at most %(most)d addresses.") % {"most": MOST_RECIPIENTS})
    for line in lines:
        try:
            validate_email(line)
        except ValidationError:
            raise ValidationError(gettext("“%(line)s” is not an email address.") % {"line": line[:100]}) from None


def recipients_of(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _group_field() -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text=_("Only usage of users who were in this group then. Empty: of everybody."),
    )  # fmt: skip


class Budget(models.Model):
    """Money for each calendar month (UTC). Reaching 50, 80 and 100 % of it is mailed once a month each.

    It refuses nothing: quotas do.
    """

    name = models.CharField(max_length=100, unique=True)
    amount = amount_field(_("amount per month"), validators=MORE_THAN_NONE, help_text=_("In the site's currency."))
    group = _group_field()
    model = models.CharField(max_length=200, blank=True, help_text=_("Only this model. Empty: all models."))
    recipients = models.TextField(validators=[check_recipients], help_text=_("Email addresses, one per line."))
    enabled = models.BooleanField(default=True)
    month = models.DateField(null=True, editable=False)  # the first day of the month that `alerted` is about
    alerted = models.PositiveSmallIntegerField(default=0, editable=False)  # the highest percentage that was mailed
    spent_amount = amount_field(null=True, editable=False)  # in the month of `spent_at`, as the last check found
    spent_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints: ClassVar = (models.CheckConstraint(condition=Q(amount__gt=0), name="budget_sane"),)

    def __str__(self) -> str:
        return self.name


class ReportKind(models.TextChoices):
    USER = "user", _("User")
    MODEL = "model", _("Model")
    GROUP = "group", _("Group")
    DAY = "day", _("Day (UTC)")


class UsageReport(models.Model):
    """A saved view of the usage page. With recipients it is mailed each Monday, for the week before."""

    name = models.CharField(max_length=100, unique=True)
    by = models.CharField(max_length=8, choices=ReportKind, default=ReportKind.GROUP)
    group = _group_field()
    recipients = models.TextField(
        blank=True, help_text=_("Email addresses, one per line. Empty: the report is only saved."),
    )  # fmt: skip
    enabled = models.BooleanField(_("mailed every week"), default=True)
    last_week = models.DateField(null=True, editable=False)  # the Monday of the last week that was mailed

    class Meta:
        ordering: ClassVar = ("name",)
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(by__in=ReportKind.values), name="usage_report_kind_known"),
            models.CheckConstraint(condition=~Q(by="group") | Q(group=None), name="usage_report_of_groups"),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises `ValidationError` for a wrong address, and for a report by groups of one group."""
        super().clean()
        if self.recipients.strip():
            try:
                check_recipients(self.recipients)
            except ValidationError as error:
                raise ValidationError({"recipients": error.messages}) from None
        if self.by == ReportKind.GROUP and self.group is not None:
            raise ValidationError({"group": gettext("A report by group is of all groups. Leave this empty.")})
