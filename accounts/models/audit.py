"""The audit log: who did what to which object. Append-only."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.lib.ids import uuid7
from accounts.models.users import User


class AuditEntry(models.Model):
    """What a member of staff looked at or did to somebody. Append-only: a trigger refuses UPDATE and DELETE.

    No foreign key's rule may touch a row, hence none is enforced: the entry outlives its actor.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(default=timezone.now, editable=False)
    actor = models.ForeignKey(User, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    actor_email = models.EmailField(max_length=254, help_text="As it was then.")
    verb = models.CharField(max_length=40)
    object_type = models.CharField(max_length=60, help_text="app.model")
    object_id = models.CharField(max_length=64)
    conversation_id = models.UUIDField(null=True, db_index=True)
    ip = models.GenericIPAddressField(null=True)
    details = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text="What else is worth knowing; no message text."
    )

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = (  # ids are ordered by time; one more, over the words of an entry, is in the migration
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["verb", "-id"], name="audit_by_verb"),
            models.Index(fields=["object_type", "-id"], name="audit_by_type"),
            models.Index(fields=["object_id", "-id"], name="audit_by_object"),
        )

    def __str__(self) -> str:
        return f"{self.actor_email} {self.verb} {self.object_type} {self.object_id}"
