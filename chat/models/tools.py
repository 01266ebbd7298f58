"""Steps of answers, the calls of tools, and who allowed them."""

from __future__ import annotations

import uuid
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from chat.models.conversations import Conversation
from chat.models.runs import Run


class StepKind(models.TextChoices):
    MODEL = "model", _("Model")
    TOOL = "tool", _("Tools")
    APPROVAL = "approval", _("Approval")


class StepStatus(models.TextChoices):
    """running -> one of the rest."""

    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class CallStatus(models.TextChoices):
    """asked (-> waiting -> allowed) -> running -> one of the rest; denied and cancelled also from the first three."""

    ASKED = "asked", _("Requested")
    WAITING = "waiting", _("Waiting for a person")
    ALLOWED = "allowed", _("Allowed")
    RUNNING = "running", _("Running")
    OK = "ok", _("Done")
    ERROR = "error", _("Failed")
    DENIED = "denied", _("Denied")
    CANCELLED = "cancelled", _("Cancelled")
    UNKNOWN = "unknown", _("Unknown – may have taken effect")


READ_CALLS: Final = "chat.read_toolcall_content"  # the permission to read arguments and results of calls

CALL_ENDED: Final = (
    CallStatus.OK.value,
    CallStatus.ERROR.value,
    CallStatus.DENIED.value,
    CallStatus.CANCELLED.value,
    CallStatus.UNKNOWN.value,
)


class ToolEffect(models.TextChoices):
    READS = "reads", _("Reads")
    WRITES = "writes", _("Writes or sends")


class Approval(models.TextChoices):
    """Whether a person must allow a call."""

    NEVER = "never", _("Never ask")
    ASK = "ask", _("Ask unless permanently allowed")
    ALWAYS = "always", _("Ask each time")


class Decision(models.TextChoices):
    """What a person decided about a call."""

    ONCE = "once", _("Allowed once")
    CONVERSATION = "conversation", _("Allowed in this conversation")
    ALWAYS = "always", _("Always allowed")
    DENY = "deny", _("Denied")


class Step(models.Model):
    """A part of a run: a request to the model, the calls that it asked for, or the wait for a person's decision.

    The steps of a run are numbered from 1 over all its attempts. What is committed here stays: the next attempt goes on
    after the last finished step. A run of one request to a model, without calls, has no steps.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    number = models.PositiveSmallIntegerField()
    attempt = models.PositiveIntegerField(help_text=_("The attempt of the run that started it."))
    kind = models.CharField(max_length=8, choices=StepKind.choices)
    status = models.CharField(max_length=9, choices=StepStatus.choices, default=StepStatus.RUNNING)
    endpoint = models.CharField(max_length=200, blank=True, default="", db_default="")
    text_chars = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("Length of the answer's text at the end of this step, in characters.")
    )
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    cached_tokens = models.PositiveIntegerField(default=0, db_default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0, db_default=0)
    cost = models.DecimalField(max_digits=24, decimal_places=9, null=True, blank=True)
    replay = models.JSONField(null=True, blank=True, editable=False)  # `providers.base.Replay`: dialect, model, parts
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "number"], name="step_once"),
            models.CheckConstraint(condition=Q(kind__in=StepKind.values), name="step_kind_known"),
            models.CheckConstraint(
                condition=Q(status="running", ended_at=None) | ~Q(status="running") & Q(ended_at__isnull=False),
                name="step_ended_when_over",
            ),
        )

    def __str__(self) -> str:
        return gettext("Step %(number)s of run %(run)s") % {"number": self.number, "run": self.run_id}


class ToolCall(models.Model):
    """One call of a tool. Its id is the idempotency key: the same for each try.

    `arguments` is what the model wrote; `edited_arguments` what a person made of it, which is then what was sent.
    Both are empty where moderation withholds them or the conversation was deleted.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="calls", db_index=False)
    model_step = models.ForeignKey(
        Step, on_delete=models.CASCADE, related_name="requested_calls", db_index=False,
        help_text=_("The step in which the model asked for it."),
    )  # fmt: skip
    step = models.ForeignKey(
        Step, on_delete=models.CASCADE, related_name="calls", help_text=_("The step in which it is made.")
    )
    place = models.PositiveSmallIntegerField(help_text=_("Its index among the calls of its step, from 0."))
    upstream_id = models.CharField(max_length=200, help_text=_("The id assigned by the model."))
    name = models.CharField(max_length=128, help_text=_("The name that the model uses."))
    title = models.CharField(max_length=200, blank=True)
    server = models.CharField(
        max_length=64, blank=True, help_text=_("The short name of its tool server. Empty: a built-in tool.")
    )
    effect = models.CharField(max_length=6, choices=ToolEffect.choices, default=ToolEffect.WRITES)
    arguments = models.TextField(blank=True)
    edited_arguments = models.TextField(blank=True, help_text=_("Empty: not edited."))
    status = models.CharField(max_length=9, choices=CallStatus.choices, default=CallStatus.ASKED)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    attempt = models.PositiveIntegerField(default=0, help_text=_("The latest attempt of the run that made the call."))
    why = models.CharField(max_length=200, blank=True, help_text=_("Why it needs approval."))
    question = models.JSONField(null=True, blank=True, help_text=_("The tool's question: text and JSON schema."))
    answers = models.JSONField(default=list, blank=True, help_text=_("The answers to its questions."))
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("When the call is denied if nobody decides."))
    decision = models.CharField(max_length=12, choices=Decision.choices, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="", db_default="", help_text=_("The reason given for denying it."))
    output = models.TextField(blank=True, help_text=_("The part of the result that the model read."))
    output_chars = models.PositiveIntegerField(default=0, help_text=_("Length of the full result, in characters."))
    sources = models.JSONField(default=list, blank=True, help_text=_("Numbered: n, title, url, passage."))
    queries = models.JSONField(default=list, blank=True, help_text=_("The search queries."))
    cost = models.DecimalField(max_digits=24, decimal_places=9, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = (("read_toolcall_content", gettext_noop("Can read arguments and results of tool calls")),)
        indexes = (
            models.Index(fields=["expires_at"], condition=Q(status="waiting"), name="tool_call_waits"),
            models.Index(fields=["-created_at"], name="tool_call_newest"),
            models.Index(fields=["server", "name", "-created_at"], name="tool_call_by_tool"),
            models.Index(fields=["status", "-created_at"], name="tool_call_by_status"),
            # For programs that send back the calls which they were returned (`chat.runs.returned_calls`).
            models.Index(fields=["upstream_id"], condition=Q(tries=0, server=""), name="tool_call_by_upstream_id"),
        )
        constraints = (
            models.UniqueConstraint(fields=["run", "model_step", "place"], name="tool_call_once"),
            models.CheckConstraint(condition=Q(status__in=CallStatus.values), name="tool_call_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=CALL_ENDED, ended_at__isnull=False)
                | ~Q(status__in=CALL_ENDED) & Q(ended_at=None),
                name="tool_call_ended_when_over",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.get_status_display()})"

    @property
    def conversation_id(self) -> uuid.UUID:
        """The conversation of its run."""
        return self.run.conversation_id

    @property
    def sent_arguments(self) -> str:
        """The arguments as they are or were sent."""
        return self.edited_arguments or self.arguments


class ToolDecision(models.Model):
    """What was decided about a call in one wait (a step of kind approval), for good: the first decision stands.

    A call may wait several times: to be allowed, for answers to its questions, and after its worker was lost. Nobody as
    `by`: its time was over, or who decided was erased.
    """

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="decisions", db_index=False)
    call = models.ForeignKey(ToolCall, on_delete=models.CASCADE, related_name="decisions")
    decision = models.CharField(max_length=12, choices=Decision.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    expired = models.BooleanField(default=False, help_text=_("Nobody decided in time."))
    answered = models.BooleanField(default=False, help_text=_("The decision answers a question of the tool."))
    edited = models.BooleanField(default=False, help_text=_("The arguments were edited."))
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["step", "call"], name="tool_decision_once"),)

    def __str__(self) -> str:
        return self.get_decision_display()


class ToolFile(models.Model):
    """A file that a tool made. It is downloaded by who may read its conversation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="tool_files")
    call = models.ForeignKey(ToolCall, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(help_text=_("In bytes."))
    content = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name
