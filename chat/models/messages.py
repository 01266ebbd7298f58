"""Messages: a tree of questions and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from chat.models.conversations import Conversation
from chat.models.statuses import MessageRole, MessageStatus

# An answer that has ended, and whose HTML is still to be made.
UNRENDERED = (
    Q(role="assistant", html="") & ~Q(text="") & ~Q(status__in=(MessageStatus.PENDING, MessageStatus.STREAMING))
)
READ_TEXT = "chat.read_message_body"  # the permission to read what people and models wrote


class Message(models.Model):
    """One node of a conversation's tree. A user's message may follow an answer or another user's message. An edit that
    asks again, or a regenerated answer, is a sibling.

    A message can also be edited in place or deleted (`chat.turns.changing`): it keeps its place in the tree.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        related_name="messages",
        db_index=False,  # `message_by_time` begins with it
    )
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=10, choices=MessageRole.choices)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="messages",
        db_index=False,  # `message_by_author`, which leaves answers out
    )  # fmt: skip
    author_name = models.CharField(
        max_length=120, blank=True, default="", db_default="", editable=False,
        help_text=_("In a copy of a conversation: the name of the author, who is no member. It stands for `author`."),
    )  # fmt: skip
    text = models.TextField(blank=True)
    html = models.TextField(blank=True, help_text=_("The finished answer, rendered and sanitised."))
    status = models.CharField(max_length=12, choices=MessageStatus.choices, default=MessageStatus.COMPLETE)
    # What moderation did to the text: `action`, `reason` (for the person) and `case_id`. Empty: nothing.
    moderation = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), editable=False)
    # Where the text mentions members and models: `start` and `length` in code points, and `user` or `model`.
    mentions = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), editable=False)
    # With how many files it was sent. Those that are not among `attachments` any more were deleted.
    file_count = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    edited_at = models.DateTimeField(null=True, blank=True, editable=False, help_text=_("When it was edited in place."))
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("Deleted: it has no text, and what follows it stays.")
    )

    shown_files: Sequence[Any] | None = None  # its `File`s, where they were read (`chat.files.payloads`)

    class Meta:
        permissions = (("read_message_body", gettext_noop("Can read message text")),)
        indexes = (
            models.Index(fields=["conversation", "created_at"], name="message_by_time"),
            models.Index(fields=["author"], condition=Q(author__isnull=False), name="message_by_author"),
            models.Index(fields=["id"], condition=UNRENDERED, name="message_unrendered"),
        )
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
        return gettext("Message %(id)s") % {"id": self.id}
