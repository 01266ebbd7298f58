"""Roles of messages, and statuses of messages, runs and recordings."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class MessageRole(models.TextChoices):
    USER = "user", _("User")
    ASSISTANT = "assistant", _("Assistant")


class MessageStatus(models.TextChoices):
    """A user's message is complete; an answer goes pending -> streaming -> one of the rest."""

    PENDING = "pending", _("Pending")
    STREAMING = "streaming", _("Streaming")
    COMPLETE = "complete", _("Complete")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")
    INTERRUPTED = "interrupted", _("Interrupted")


class RunStatus(models.TextChoices):
    """(waiting ->) queued -> running -> one of the rest."""

    WAITING = "waiting", _("Waiting")  # for a person; it has no lease and no job
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")
    INTERRUPTED = "interrupted", _("Interrupted")


class WaitingFor(models.TextChoices):
    """What a waiting run waits for."""

    MODERATION = "moderation", _("a reviewer")
    APPROVAL = "approval", _("an approval")


class Finish(models.TextChoices):
    """How a complete answer ended (docs/protocol.md §2)."""

    STOP = "stop", _("finished")
    LENGTH = "length", _("length limit reached")
    FILTERED = "filtered", _("cut by the provider's content filter")
    TOOL_LIMIT = "tool_limit", _("tool limit reached")


class Effort(models.TextChoices):
    """How much a model should think before it answers. `none`: as little as it can."""

    NONE = "none", pgettext_lazy("effort of thinking", "None")
    LOW = "low", pgettext_lazy("effort of thinking", "Low")
    MEDIUM = "medium", pgettext_lazy("effort of thinking", "Medium")
    HIGH = "high", pgettext_lazy("effort of thinking", "High")


UNDER_WAY = (RunStatus.QUEUED.value, RunStatus.RUNNING.value)
ACTIVE = (RunStatus.WAITING.value, *UNDER_WAY)  # not ended
FAILED = (RunStatus.FAILED.value, RunStatus.INTERRUPTED.value)
ANY_JOB = "any"  # `lease_owner` of a queued run that any job may claim (`chat.jobs.dispatch.offer`)
SLOW_MS = 5000  # from here on, a time to the first token counts as slow


class RecordingStatus(models.TextChoices):
    """starting -> listening -> one of the rest."""

    STARTING = "starting", _("Starting")
    LISTENING = "listening", _("Listening")
    DONE = "done", _("Done")
    CANCELLED = "cancelled", _("Cancelled")
    FAILED = "failed", _("Failed")
