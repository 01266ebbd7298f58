"""Summaries of the oldest messages of a conversation, which models get instead of the messages."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.conversations import Conversation
from chat.models.messages import Message


class Summary(models.Model):
    """The first messages of a branch, from its beginning to `last`, in short.

    Messages form a tree, so it belongs to every branch through `last` and to no other: an edit before `last` makes a
    branch without it. A trigger deletes it when the text of a message that it covers is changed (erasure, moderation).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="summaries")
    last = models.OneToOneField(
        Message, on_delete=models.CASCADE, related_name="summary", help_text=_("The newest message that it covers.")
    )
    messages = models.PositiveIntegerField(help_text=_("How many messages it covers."))
    text = models.TextField()
    model = models.CharField(max_length=200)
    used = models.BooleanField(
        default=True,
        help_text=_("Sent to models. If off, a member undid it, and no other summary is made on its branches."),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ()
        verbose_name_plural = _("summaries")

    def __str__(self) -> str:
        return f"summary {self.id}"
