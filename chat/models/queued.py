"""The waiting line: messages that wait until an answer in progress has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.conversations import Conversation
from chat.models.messages import Message

if TYPE_CHECKING:
    from chat.models.files import File


class QueuedState(models.TextChoices):
    """A message that is sent has no row here any more: the row is deleted by the transaction that inserts it."""

    WAITING = "waiting", _("Waiting")
    REMOVED = "removed", _("Removed")  # its text is gone; the row answers a command that is repeated


class QueuedMessage(models.Model):
    """A message that waits for its turn. It is sent with the same id, by its author's right and from their quota.

    It goes below the newest message of the branch that begins with `after`. `revision` counts the changes, and `logged`
    is the one that the conversation's event log has: the row is the outbox of that event (`chat.turns.waiting_line`).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="queued")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="queued")
    client_id = models.UUIDField()
    fingerprint = models.BinaryField(max_length=32, help_text=_("SHA-256 of the command's body."))
    after = models.ForeignKey(
        Message, null=True, on_delete=models.SET_NULL, related_name="+", help_text=_("Empty: the newest message.")
    )
    text = models.TextField(blank=True)
    shown = models.TextField(
        blank=True, help_text=_("The text as others see it, where moderation masked a part. Empty: unchanged.")
    )
    # The rest of the command `message.send`, as JSON: the models, the options.
    command = models.JSONField(default=dict, editable=False)
    position = models.BigIntegerField(help_text=_("Its position in the queue; lower numbers are sent first."))
    steers = models.BooleanField(default=False, help_text=_("Sent even if the answer before it was stopped."))
    reason = models.CharField(
        max_length=40, blank=True, help_text=_("Why it is still waiting. Empty: it is not its turn yet.")
    )
    sentence = models.TextField(blank=True, help_text=_("The reason in a sentence."))
    retry_at = models.DateTimeField(null=True, blank=True, help_text=_("When sending is retried automatically."))
    state = models.CharField(max_length=8, choices=QueuedState.choices, default=QueuedState.WAITING)
    revision = models.PositiveIntegerField(default=1)
    logged = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    shown_files: Sequence[File] | None = None  # its files, where they were read (`chat.files.payloads`)

    class Meta:
        verbose_name = _("queued message")
        indexes: ClassVar = (
            models.Index(fields=["conversation", "position"], condition=Q(state="waiting"), name="queued_waiting"),
            models.Index(fields=["changed_at"], condition=Q(logged__lt=F("revision")), name="queued_unlogged"),
            models.Index(fields=["changed_at"], condition=Q(state="removed"), name="queued_removed"),
        )
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["author", "client_id"], name="queued_once"),
            models.CheckConstraint(condition=Q(state__in=QueuedState.values), name="queued_state_known"),
        )

    def __str__(self) -> str:
        return gettext("Queued message %(id)s") % {"id": self.id}
