"""Messages that ask nobody, until they are in the event log; and who was mentioned by which message."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from chat.models.messages import Message


class Unannounced(models.Model):
    """A message without a run that is not in its conversation's event log yet.

    It is written with the message and deleted once the log has it, so that the death of a process between the two
    hides no message. The message of a run needs none: whoever writes the run's events announces it.
    """

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"unannounced message {self.message_id}"


class Unjudged(models.Model):
    """A text that no judge has read: a message that asks nobody, a new text of one that was edited in place, or what
    was let through while a judge gave no verdict.

    It is written with the text, or after it. A worker takes it, has judges read the text, and deletes it.
    """

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    next_try_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"unjudged message {self.message_id}"


class Mention(models.Model):
    """A message mentions a member, who is told of it once, and has seen it since `seen_at`.

    Who has not seen it for a while is told by mail, once, if they want that (`workers.push.mention_mails`).
    """

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="mentioned", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mentions")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)  # a mail about it was sent, or is being sent

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["message", "user"], name="mention_once"),)
        indexes = (
            models.Index(fields=["user"], condition=Q(seen_at=None), name="mention_unseen"),
            models.Index(fields=["by", "created_at"], name="mention_by_author"),
            models.Index(fields=["created_at"], condition=Q(seen_at=None, mailed_at=None), name="mention_to_mail"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} in message {self.message_id}"
