"""Conversations, their message trees, and the runs that answer them.

PostgreSQL holds the truth. Every rule that one row or one unique index can hold is a constraint here;
the rest is kept by `chat.turns`, which changes several rows in one transaction.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.ids import uuid7
from chat.presets import Preset as Preset  # a model of this app


class Conversation(models.Model):
    """A tree of messages that some people and a model write together."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    title = models.CharField(max_length=200, blank=True)
    model = models.CharField(
        max_length=200, blank=True, help_text="The model of the next answer; empty is the default."
    )
    system_prompt = models.TextField(blank=True)
    preset = models.ForeignKey(
        "Preset", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False,
        help_text="Which it began with. What that said then stands here.",
    )  # fmt: skip
    temperature = models.FloatField(null=True, blank=True)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    members: models.ManyToManyField[models.Model, Member] = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Member", related_name="conversations"
    )
    tip = models.ForeignKey(
        "Message", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="The newest message: where a send with no parent goes on.",
    )  # fmt: skip
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, db_index=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    pinned_at = models.DateTimeField(
        null=True, blank=True, help_text="On top of its members' lists, and kept whatever its age."
    )
    # A default of the database's: turns insert without naming it.
    temporary = models.BooleanField(
        default=False, db_default=False, help_text="In nobody's list, and gone soon. So from its first message on."
    )

    class Meta:
        indexes: ClassVar = (
            models.Index(fields=["preset"], condition=Q(preset__isnull=False), name="conversation_preset"),
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="conversation_trash"),
            models.Index(fields=["updated_at"], condition=Q(temporary=True), name="conversation_temporary"),
        )
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(temporary=False) | Q(pinned_at=None), name="conversation_temporary_or_pinned"
            ),
        )

    def __str__(self) -> str:
        # Titles are made from messages: only those who may read bodies see them in the admin.
        return f"conversation {self.id}"


class Role(models.TextChoices):
    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"


class Member(models.Model):
    """A user's place in a conversation: an owner may do all, an editor writes, a viewer reads."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.EDITOR)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "conversation"], name="member_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.conversation_id}"


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


class Message(models.Model):
    """One node of a conversation's tree. History is never rewritten: an edit or another answer is a sibling."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=10, choices=MessageRole.choices)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="messages"
    )
    text = models.TextField(blank=True)
    html = models.TextField(blank=True, help_text="The finished answer, rendered and sanitised.")
    status = models.CharField(max_length=12, choices=MessageStatus.choices, default=MessageStatus.COMPLETE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        permissions = (("read_message_body", "Can read what people and models wrote"),)
        indexes = (models.Index(fields=["conversation", "created_at"], name="message_by_time"),)
        constraints = (
            models.CheckConstraint(condition=Q(role__in=MessageRole.values), name="message_role_known"),
            models.CheckConstraint(condition=Q(status__in=MessageStatus.values), name="message_status_known"),
            models.CheckConstraint(
                condition=Q(role="user", status="complete") | Q(role="assistant", author__isnull=True),
                name="message_fits_role",
            ),
            models.CheckConstraint(condition=~Q(parent=models.F("id")), name="message_not_own_parent"),
        )

    def __str__(self) -> str:
        return f"{self.role} {self.id}"


class RunStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


ACTIVE = (RunStatus.QUEUED.value, RunStatus.RUNNING.value)
FAILED = (RunStatus.FAILED.value, RunStatus.INTERRUPTED.value)
SLOW_MS = 5000  # a first token after so long is one that staff look for


class Run(models.Model):
    """A model's work on one answer.

    `attempt` counts the claims by a worker and fences its writes: whoever does not hold the current attempt
    may not write. The text so far is in `message.text`; it covers the conversation's log exactly up to
    (`checkpoint_epoch`, `checkpoint_seq`).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="runs")
    prompt = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="answer_runs", help_text="The user's message."
    )
    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="run", help_text="The answer.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs", db_index=False
    )
    model = models.CharField(max_length=200)
    endpoint = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="Host of the endpoint that answered."
    )
    status = models.CharField(max_length=12, choices=RunStatus.choices, default=RunStatus.QUEUED)

    attempt = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField(null=True, blank=True, help_text="When the job last went to the broker.")
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    checkpoint_epoch = models.CharField(max_length=32, blank=True)
    checkpoint_seq = models.BigIntegerField(default=0)
    ended_in_log = models.BooleanField(default=False, help_text="The closing event has reached the conversation's log.")

    heard_chars = models.PositiveIntegerField(
        null=True, blank=True, help_text="Somebody talked over the answer, and this many characters of it are kept."
    )
    produced_chars = models.PositiveIntegerField(null=True, blank=True, help_text="... of so many that were written.")
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    usage_estimated = models.BooleanField(default=False)
    cost = models.DecimalField(
        max_digits=24, decimal_places=9, null=True, blank=True, help_text="Empty: nothing used, or no price."
    )
    queued_ms = models.PositiveIntegerField(null=True, blank=True)
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    total_ms = models.PositiveIntegerField(null=True, blank=True)
    trace_id = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="Finds its log lines and its trace."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = (("operate_run", "Can stop and retry runs of others"),)
        indexes = (
            models.Index(fields=["lease_expires_at"], condition=Q(status="running"), name="run_leases"),
            models.Index(fields=["enqueued_at"], condition=Q(status="queued"), name="run_queue"),
            models.Index(
                fields=["finished_at"], condition=Q(ended_in_log=False, finished_at__isnull=False), name="run_unclosed"
            ),
            models.Index(fields=["-created_at"], name="run_newest"),
            # For staff's lists, newest first. Nearly all runs end well, so most of these hold few.
            models.Index(fields=["requested_by", "-created_at"], name="run_by_user"),
            models.Index(fields=["model", "-created_at"], name="run_by_model"),
            models.Index(fields=["status", "-created_at"], condition=~Q(status="done"), name="run_not_done"),
            models.Index(fields=["-created_at"], condition=Q(status__in=FAILED), name="run_failed"),
            models.Index(fields=["error_code", "-created_at"], condition=~Q(error_code=""), name="run_by_error"),
            models.Index(fields=["-created_at"], condition=Q(first_token_ms__gte=SLOW_MS), name="run_slow"),
            models.Index(fields=["requested_by"], condition=Q(status__in=ACTIVE), name="run_under_way"),
        )
        constraints = (
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="run_status_known"),
            models.UniqueConstraint(
                fields=["prompt"], condition=Q(status__in=ACTIVE), name="run_one_active_per_branch"
            ),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(lease_expires_at__isnull=False, attempt__gte=1),
                name="run_running_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(status__in=ACTIVE, finished_at__isnull=True)
                | ~Q(status__in=ACTIVE) & Q(finished_at__isnull=False),
                name="run_finished_when_ended",
            ),
        )

    def __str__(self) -> str:
        return f"run {self.id} ({self.status})"


class Submission(models.Model):
    """What a client's command made: the memory behind exactly-once sends.

    A command repeated with the same (user, client_id) gets the same message and run; with another body, `conflict`.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="submissions")
    client_id = models.UUIDField()
    fingerprint = models.BinaryField(max_length=32, help_text="SHA-256 of the command's body.")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="submissions")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["user", "client_id"], name="submission_once"),)

    def __str__(self) -> str:
        return f"{self.user_id}/{self.client_id}"


class RecordingStatus(models.TextChoices):
    """starting -> listening -> one of the rest."""

    STARTING = "starting"
    LISTENING = "listening"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Recording(models.Model):
    """Somebody speaks. What was understood is in the utterances; the audio is kept only where a plan says so
    (`chat.kept_audio`).
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
    reason = models.CharField(max_length=40, blank=True, help_text="Why it ended.")
    backend = models.CharField(max_length=40, blank=True)
    audio_ms = models.PositiveIntegerField(default=0)
    audio = models.FileField(max_length=200, blank=True, help_text="Kept where the speaker's plan says so.")
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
        return f"recording {self.id} ({self.status})"


class Utterance(models.Model):
    """What was understood between two silences. An empty text was noise. Times count from the recording's start."""

    recording = models.ForeignKey(Recording, on_delete=models.CASCADE, related_name="utterances")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    start_ms = models.PositiveIntegerField()
    end_ms = models.PositiveIntegerField()
    confidence = models.FloatField(null=True, blank=True)
    message = models.ForeignKey(
        Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="utterances",
        help_text="The message it became, when it was sent by itself.",
    )  # fmt: skip

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["recording", "number"], name="utterance_once"),)

    def __str__(self) -> str:
        return f"utterance {self.number} of {self.recording_id}"
