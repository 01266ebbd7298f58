"""Units and periods of quotas, and what happens to answers that nobody has open."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Unit(models.TextChoices):
    MESSAGES = "messages", _("Messages")
    INPUT_TOKENS = "input_tokens", _("Input tokens")
    OUTPUT_TOKENS = "output_tokens", _("Output tokens")
    MONEY = "money", _("Money")
    AUDIO_SECONDS = "audio_seconds", _("Audio seconds")


class QuotaPeriod(models.TextChoices):
    """Calendar periods in the plan's time zone. A fixed period starts at `starts_at` and never renews."""

    HOUR = "hour", _("Hour")
    DAY = "day", _("Day")
    WEEK = "week", _("Week")
    MONTH = "month", _("Month")
    FIXED = "fixed", _("Fixed")


class Unwatched(models.TextChoices):
    """What happens to an answer that nobody has open. The values are those of the setting UNWATCHED_RUNS."""

    CONTINUE = "continue", _("continue")
    STOP = "stop", _("stop after the grace period")
