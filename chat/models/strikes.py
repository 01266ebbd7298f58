"""Strikes: what decisions of moderation count against a person, and what they lead to."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from chat.models.moderation import ModerationDecision, Severity

MOST_HOURS = 24 * 365


class Strike(models.Model):
    """What one decision counts against a person until it expires. A successful appeal takes it back."""

    decision = models.OneToOneField(ModerationDecision, on_delete=models.CASCADE, related_name="strike")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="strikes")
    count = models.PositiveSmallIntegerField()
    given_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    taken_back_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ("-given_at",)
        indexes: ClassVar = (models.Index(fields=("person", "-given_at"), name="strike_of_person"),)

    def __str__(self) -> str:
        return gettext("Strike %(id)s") % {"id": self.pk}


class StrikeScale(models.Model):
    """How many strikes a decision about a case of this severity is, and how long they count."""

    severity = models.PositiveSmallIntegerField(choices=Severity, unique=True)
    strikes = models.PositiveSmallIntegerField(
        default=1, validators=[MaxValueValidator(100)], help_text=_("0: such decisions give no strikes.")
    )
    days = models.PositiveSmallIntegerField(
        default=90,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text=_("Strikes expire after this many days."),
    )

    class Meta:
        verbose_name = _("strikes of a severity")
        verbose_name_plural = _("strikes by severity")
        ordering: ClassVar = ("severity",)

    def __str__(self) -> str:
        return f"{self.get_severity_display()}: {self.strikes}"


class Consequence(models.TextChoices):
    """In the order of their severity."""

    WARN = "warn", _("Warn the person")
    SUSPEND = "suspend", _("Suspend the account for a time")
    BLOCK = "block", _("Block the account")


class PolicyStep(models.Model):
    """What so many strikes within so many days lead to. Of several steps that are reached, the most severe holds."""

    strikes = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    days = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(3650)])
    consequence = models.CharField(max_length=8, choices=Consequence)
    hours = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MOST_HOURS)],
        help_text=_("Length of the suspension."),
    )  # fmt: skip
    enabled = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("policy step")
        ordering: ClassVar = ("strikes", "pk")
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(consequence="suspend", hours__gte=1) | (~Q(consequence="suspend") & Q(hours=None)),
                name="policy_step_hours",
            ),
        )

    def __str__(self) -> str:
        shown = {"strikes": self.strikes, "days": self.days, "consequence": self.get_consequence_display()}
        said = ngettext(
            "%(strikes)d strike within %(days)d days: %(consequence)s",
            "%(strikes)d strikes within %(days)d days: %(consequence)s",
            self.strikes,
        )
        return said % shown

    def clean(self) -> None:
        """Raises `ValidationError` unless `hours` is there for a suspension and for nothing else."""
        super().clean()
        wrong: dict[str, Any] = {}
        if self.consequence == Consequence.SUSPEND and not self.hours:
            wrong["hours"] = gettext("Enter the length of the suspension.")
        elif self.consequence != Consequence.SUSPEND and self.hours:
            wrong["hours"] = gettext("Only a suspension has a length.")
        if wrong:
            raise ValidationError(wrong)
