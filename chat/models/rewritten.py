"""Messages whose text was changed after they were shown: the outbox of what their readers must be told."""

from __future__ import annotations

from django.db import models

from chat.models.messages import Message


class Rewritten(models.Model):
    """This message has another text since `rewritten_at`, and its conversation's event log has not begun anew since.

    It is written with the text and deleted once the log has begun anew, so that neither an outage of Redis nor the
    death of a process leaves the old text in the log.
    """

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="+")
    rewritten_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"rewritten message {self.message_id}"
