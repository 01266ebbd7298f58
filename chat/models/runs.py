"""Runs, which answer messages, and submissions, which make sends idempotent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from chat.models.conversations import Conversation
from chat.models.messages import Message
from chat.models.statuses import ACTIVE, FAILED, SLOW_MS, Effort, Finish, RunStatus, WaitingFor


class Run(models.Model):
    """The generation of one answer by a model, or of a further part of it.

    An answer that was cut can be continued: by another run of the same message. `part` counts them, `latest` is the
    last one, and `base_chars` of the text were there before it.

    Several models may answer one question side by side (`Comparison`): `slot` is the place of such an answer, and each
    place has one active run at most. All other answers to a question are at place 0.

    `attempt` counts the claims by workers and fences their writes: only the worker of the current attempt may write.
    The text so far is in `message.text`. It covers the conversation's event log exactly up to (`checkpoint_epoch`,
    `checkpoint_seq`).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="runs")
    prompt = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="answer_runs", help_text=_("The user's message.")
    )
    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="runs", db_index=False, help_text=_("The answer.")
    )  # fmt: skip
    part = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        help_text=_("1: the run that started the answer. Higher numbers: runs that continued it."),
    )
    latest = models.BooleanField(default=True, db_default=True, help_text=_("No later run continues its answer."))
    base_chars = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("How many characters of the answer were there before this run.")
    )
    # Of a run with steps (`chat.models.tools`): what the finished ones have written stays for each further attempt.
    step_count = models.PositiveSmallIntegerField(default=0, db_default=0, help_text=_("How many steps it has so far."))
    kept_chars = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text=_("How many characters of the answer are from finished steps or from before them."),
    )
    kept_reasoning = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("How many characters of the thinking are from finished steps.")
    )
    slot = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text=_("Its slot in a comparison, from 1. 0: not part of a comparison."),
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs", db_index=False
    )
    model = models.CharField(max_length=200)
    endpoint = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text=_("Host of the endpoint that answered.")
    )
    effort = models.CharField(
        max_length=6, choices=Effort.choices, blank=True, default="", db_default="",
        help_text=_("How much the model should think for this answer only. Empty: the conversation's setting."),
    )  # fmt: skip
    # `asked`: the parameters of this answer alone. At the end also `sent`, what the request really had; `dropped`, the
    # names of those that the model does not accept; and how long the system prompt and the user's instructions were.
    parameters = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), editable=False)
    status = models.CharField(max_length=12, choices=RunStatus.choices, default=RunStatus.QUEUED)
    waiting_for = models.CharField(max_length=10, choices=WaitingFor.choices, blank=True, default="", db_default="")

    attempt = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=120, blank=True)  # of a queued run: empty, or `ANY_JOB`
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the job was last published to the broker.")
    )
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    checkpoint_epoch = models.CharField(max_length=32, blank=True)
    checkpoint_seq = models.BigIntegerField(default=0)
    ended_in_log = models.BooleanField(
        default=False, help_text=_("The closing event has reached the conversation's event log.")
    )

    heard_chars = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("After a barge-in: how many characters of the answer were kept.")
    )
    produced_chars = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("After a barge-in: how many characters had been generated.")
    )
    finish = models.CharField(
        max_length=10, choices=Finish.choices, blank=True, default="", db_default="",
        help_text=_("How a complete answer ended. Empty: there is none."),
    )  # fmt: skip
    upstream_said = models.TextField(
        _("provider message"), blank=True, default="", db_default="",
        help_text=_("The provider's error message, with secrets masked."),
    )  # fmt: skip
    upstream_request = models.CharField(_("provider request id"), max_length=100, blank=True, default="", db_default="")
    upstream_model = models.CharField(
        _("provider model"), max_length=200, blank=True, default="", db_default="",
        help_text=_(
            "The model that answered, as reported by the provider. A router or an alias may choose "
            "another model."
        ),
    )  # fmt: skip
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    reasoning_tokens = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("Part of the output tokens: what the model thought.")
    )
    reasoning_chars = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("Length of the stored thinking.")
    )
    reasoning_ms = models.PositiveIntegerField(default=0, db_default=0, help_text=_("How long the model thought."))
    usage_estimated = models.BooleanField(default=False)
    usage_implausible = models.BooleanField(
        default=False, db_default=False, help_text=_("The provider reported implausible numbers.")
    )
    cost = models.DecimalField(
        max_digits=24, decimal_places=9, null=True, blank=True, help_text=_("Empty: no usage, or no price.")
    )
    context_window = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Of the model, in tokens. Empty: unknown.")
    )
    context_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Of the last request of a run with steps. Empty: equal to the input tokens.")
    )
    context_dropped = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("Number of older messages left out of the request.")
    )
    queued_ms = models.PositiveIntegerField(null=True, blank=True)
    first_token_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Time to the first text of the answer, including any thinking before it.")
    )
    first_reasoning_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Time to the first token of thinking. Empty: there was none.")
    )
    total_ms = models.PositiveIntegerField(null=True, blank=True)
    trace_id = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text=_("Identifies the run's log lines and its trace."),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    # No column: whether the readers of what is made of this row may see its cost; None: `costs.may_show_cost` asks.
    cost_shown: bool | None = None

    file_names: Mapping[str, str] | None = None  # of the files its model got, once read (`chat.files.uses`)
    shown_sources: Sequence[dict[str, Any]] | None = None  # that it cites, once read (`chat.files.sources`)

    class Meta:
        permissions = (("operate_run", gettext_noop("Can stop and retry other users' runs")),)
        indexes = (
            models.Index(fields=["lease_expires_at"], condition=Q(status="running"), name="run_leases"),
            models.Index(fields=["enqueued_at"], condition=Q(status="queued"), name="run_queue"),
            models.Index(
                fields=["finished_at"], condition=Q(ended_in_log=False, finished_at__isnull=False), name="run_unclosed"
            ),
            models.Index(fields=["-created_at"], name="run_newest"),
            # For staff's lists, newest first. Nearly all runs are completed, so most of these indexes are small.
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
            models.UniqueConstraint(fields=["message", "part"], name="run_part_once"),
            models.UniqueConstraint(
                fields=["prompt", "slot"], condition=Q(status__in=ACTIVE), name="run_one_active_per_branch"
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", enqueued_at__isnull=True) & ~Q(waiting_for="")
                | ~Q(status="waiting") & Q(waiting_for=""),
                name="run_waits_for_something",
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
        return gettext("Run %(id)s (%(status)s)") % {"id": self.id, "status": self.get_status_display()}

    @property
    def begins_with(self) -> int:
        """How many characters of the answer the next attempt goes on after."""
        return max(self.base_chars, self.kept_chars)


class Reasoning(models.Model):
    """What the model thought before and between the text of its answer: shown to people, and no part of the answer.

    A table of its own, so that nothing that reads runs or messages has it by accident. It covers the event log as
    `message.text` does.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, primary_key=True, related_name="reasoning")
    text = models.TextField()

    def __str__(self) -> str:
        return f"reasoning of run {self.run_id}"


class Submission(models.Model):
    """The idempotency record of a send: the message and run that a client's command created; no run if the message
    asks nobody.

    A command repeated with the same (user, client_id) gets the same message and run; with another body, `conflict`.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="submissions",
        db_index=False,  # the constraint begins with it
    )  # fmt: skip
    client_id = models.UUIDField()
    fingerprint = models.BinaryField(max_length=32, help_text=_("SHA-256 of the command's body."))
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="submissions")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["user", "client_id"], name="submission_once"),)

    def __str__(self) -> str:
        return f"{self.user_id}/{self.client_id}"
