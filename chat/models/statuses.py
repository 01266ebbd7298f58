"""Roles of messages, and statuses of messages, runs and recordings."""

from __future__ import annotations

from django.db import models
from django.utils.translation import pgettext_lazy


class MessageRole(models.TextChoices):
    USER = "user"
    ASSISTANT = "assistant"


class MessageStatus(models.TextChoices):
    """A user's message is complete; an answer goes pending -> streaming -> one of the rest."""

    PENDING = "pending"
    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStatus(models.TextChoices):
    """(waiting ->) queued -> running -> one of the rest."""

    WAITING = "waiting"  # for a person; it has no lease and no job
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class WaitingFor(models.TextChoices):
    """What a waiting run waits for."""

    MODERATION = "moderation", "a reviewer"
    APPROVAL = "approval", "an approval"


class Finish(models.TextChoices):
    """How a complete answer ended (docs/protocol.md §2)."""

    STOP = "stop", "finished"
    LENGTH = "length", "length limit reached"
    FILTERED = "filtered", "cut by the provider's content filter"
    TOOL_LIMIT = "tool_limit", "tool limit reached"


class Effort(models.TextChoices):
    """How much a model should think before it answers. `none`: as little as it can."""

    NONE = "none", pgettext_lazy("effort of thinking", "None")
    LOW = "low", pgettext_lazy("effort of thinking", "Low")
    MEDIUM = "medium", pgettext_lazy("effort of thinking", "Medium")
    HIGH = "high", pgettext_lazy("effort of thinking", "High")


UNDER_WAY = (RunStatus.QUEUED.value, RunStatus.RUNNING.value)
ACTIVE = (RunStatus.WAITING.value, *UNDER_WAY)  # not ended
FAILED = (RunStatus.FAILED.value, RunStatus.INTERRUPTED.value)
SLOW_MS = 5000  # from here on, a time to the first token counts as slow


class RecordingStatus(models.TextChoices):
    """starting -> listening -> one of the rest."""

    STARTING = "starting"
    LISTENING = "listening"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
