"""Prices, the usage ledger, and daily sums."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.models.fields import MOST, RANGE, amount_field


def _owner(**options: Any) -> models.ForeignKey[Any, Any]:
    """A user. Entries outlive their user, so there is no database constraint."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", **options
    )


class Price(models.Model):
    """What a model costs from `valid_from` on. The most specific price applies: for this model before one for all
    models, then for this endpoint, then the newest. Without a price, the cost is unknown (`UsageEntry.cost` is null).
    """

    endpoint = models.CharField(
        max_length=200, blank=True,
        help_text=_("Host of the endpoint, with its port if servers on one host have different prices. "
        "If empty, the price applies to every endpoint."),
    )  # fmt: skip
    model = models.CharField(max_length=200, blank=True, help_text=_("If empty, the price applies to every model."))
    valid_from = models.DateTimeField(default=timezone.now)
    input_per_million = amount_field(_("per million input tokens"), validators=RANGE)
    cached_per_million = amount_field(
        _("per million cached input tokens"),
        null=True,
        blank=True,
        validators=RANGE,
        help_text=_("If empty, the price per input token applies."),
    )
    output_per_million = amount_field(_("per million output tokens"), validators=RANGE)
    audio_per_minute = amount_field(_("per minute of audio"), default=0, validators=RANGE)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["model", "endpoint", "valid_from"], name="price_once"),
            models.CheckConstraint(
                condition=Q(
                    input_per_million__range=(0, MOST),
                    output_per_million__range=(0, MOST),
                    audio_per_minute__range=(0, MOST),
                )
                & (Q(cached_per_million=None) | Q(cached_per_million__range=(0, MOST))),
                name="price_sane",
            ),
        )

    def __str__(self) -> str:
        shown = {"model": self.model or gettext("any model"), "date": f"{self.valid_from:%Y-%m-%d}"}
        return gettext("%(model)s from %(date)s") % shown


class UsageEntry(models.Model):
    """Usage of one run or recording. Append-only: a trigger refuses UPDATE and DELETE."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(help_text=_("When the answer was requested. It counts in that period."))
    user = _owner(null=True)
    run_id = models.UUIDField(null=True, unique=True)
    recording_id = models.UUIDField(null=True, unique=True)
    conversation_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=200, blank=True)
    purpose = models.CharField(
        max_length=16, blank=True, default="", db_default="",
        help_text=_("What it was for, such as a summary. Empty: an answer or a recording."),
    )  # fmt: skip
    messages = models.PositiveSmallIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0, help_text=_("Included in the input tokens."))
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0, help_text=_("Included in the output tokens."))
    audio_seconds = amount_field(default=0)
    cost = amount_field(null=True, help_text=_("Empty if the model had no price."))
    estimated = models.BooleanField(
        default=False, help_text=_("The provider did not report usage. The numbers are estimates.")
    )
    groups = ArrayField(
        models.IntegerField(),
        default=list,
        db_default=[],
        help_text=_("Ids of the groups that the user was in at that time."),
    )

    class Meta:
        verbose_name_plural = _("usage entries")
        indexes = (
            models.Index(fields=["user", "-at"], name="usage_by_user"),
            models.Index(fields=["-at"], name="usage_newest"),
            models.Index(
                fields=["conversation_id"], condition=Q(conversation_id__isnull=False), name="usage_by_conversation"
            ),
        )

    def __str__(self) -> str:
        return gettext("Usage entry %(id)s") % {"id": self.id}


class DailyUsage(models.Model):
    """Sums of the usage entries of a day (UTC). `unpriced` and `estimated` count entries."""

    day = models.DateField()
    user = _owner(null=True)
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=200, blank=True)
    messages = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    audio_seconds = amount_field(default=0)
    cost = amount_field(default=0)
    unpriced = models.PositiveBigIntegerField(default=0)
    estimated = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = _("daily usage")
        indexes = (models.Index(fields=["user", "-day"], name="daily_by_user"),)
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["day", "user", "model", "endpoint"], name="daily_once", nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return gettext("Usage of %(day)s") % {"day": self.day}
