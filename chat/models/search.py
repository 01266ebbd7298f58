"""The search index. Triggers write it (`chat.search.sql`); no code does."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from chat.models.conversations import Conversation
from chat.models.messages import Message


class ConversationWords(models.Model):
    """The words of a title, and the user under whose key the conversation's messages are indexed."""

    # The database deletes the row with its conversation.
    conversation = models.OneToOneField(
        Conversation, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    home = models.UUIDField(null=True)
    words = SearchVectorField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"words of conversation {self.conversation_id}"


class MessageWords(models.Model):
    """The words of a message, each behind the key of its conversation."""

    # The database deletes the row with its message.
    message = models.OneToOneField(
        Message, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    conversation_id = models.UUIDField()
    written_at = models.DateTimeField()
    words = SearchVectorField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (
            GinIndex(fields=["words"], name="message_words"),
            models.Index(fields=["conversation_id", "written_at"], name="message_words_by_time"),
        )

    def __str__(self) -> str:
        return f"words of message {self.message_id}"
