"""Recordings and their utterances."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.conversations import Conversation
from chat.models.messages import Message
from chat.models.statuses import RecordingStatus


class Recording(models.Model):
    """One recording of speech. Its transcript is in the utterances. Its audio is stored only if the user's plan says so
    (`chat.voice.audio_files`).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="recordings")
    conversation = models.ForeignKey(
        Conversation, null=True, blank=True, on_delete=models.CASCADE, related_name="recordings"
    )
    client_id = models.UUIDField()
    language = models.CharField(max_length=35)
    mode = models.CharField(max_length=12)
    auto_send = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=RecordingStatus.choices, default=RecordingStatus.STARTING)
    reason = models.CharField(max_length=40, blank=True, help_text=_("Why it ended."))
    backend = models.CharField(max_length=40, blank=True)
    audio_ms = models.PositiveIntegerField(default=0)
    audio = models.FileField(max_length=200, blank=True, help_text=_("Stored if the user's plan says so."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (
            models.Index(fields=["user", "-created_at"], name="recording_newest"),
            models.Index(fields=["-created_at"], name="recording_by_time"),
            models.Index(
                fields=["status", "-created_at"], condition=~Q(status__in=("done", "cancelled")),
                name="recording_not_done",
            ),
            models.Index(fields=["created_at"], condition=Q(finished_at=None), name="recording_in_progress"),
        )  # fmt: skip
        constraints = (
            models.UniqueConstraint(fields=["user", "client_id"], name="recording_once"),
            models.CheckConstraint(condition=Q(status__in=RecordingStatus.values), name="recording_status_known"),
        )

    def __str__(self) -> str:
        return gettext("Recording %(id)s (%(status)s)") % {"id": self.id, "status": self.get_status_display()}


class Utterance(models.Model):
    """The transcript of the speech between two silences; empty for noise. Times count from the recording's start."""

    recording = models.ForeignKey(Recording, on_delete=models.CASCADE, related_name="utterances")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    start_ms = models.PositiveIntegerField()
    end_ms = models.PositiveIntegerField()
    confidence = models.FloatField(null=True, blank=True)
    message = models.ForeignKey(
        Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="utterances",
        help_text=_("The message created from it, when it was sent automatically."),
    )  # fmt: skip

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["recording", "number"], name="utterance_once"),)

    def __str__(self) -> str:
        return f"utterance {self.number} of {self.recording_id}"
