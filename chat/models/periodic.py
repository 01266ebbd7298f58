"""The periodic jobs: when each was last published and run, and what it found."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class PeriodicJob(models.Model):
    """A job of `settings.CELERY_BEAT_SCHEDULE`. `manage.py beat` goes by it, so a restart of beat delays nothing."""

    name = models.CharField(max_length=60, primary_key=True, editable=False)
    published_at = models.DateTimeField(null=True, editable=False, help_text=_("When it was last handed to a worker."))
    started_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False, help_text=_("When it last ended without an error."))
    seconds = models.FloatField(null=True, editable=False)
    error = models.CharField(
        max_length=200, blank=True, default="", db_default="", editable=False,
        help_text=_("Of the last run; empty: it ended well, or is in progress."),
    )  # fmt: skip
    report = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), editable=False)

    class Meta:
        verbose_name = _("periodic job")
        verbose_name_plural = _("periodic jobs")

    def __str__(self) -> str:
        return self.name
