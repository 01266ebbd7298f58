"""The audit log: what staff viewed and changed, and security events. Append-only."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.models.users import User


class AuditEntry(models.Model):
    """An action of a member of staff, or a security event. Append-only: a trigger refuses UPDATE and DELETE.

    The entry outlives its actor, so the foreign key has no database constraint. A failed log-in has no actor; its
    `actor_email` is what was typed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(default=timezone.now, editable=False)
    actor = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    actor_email = models.EmailField(max_length=254, help_text=_("Email address of the actor at that time."))
    verb = models.CharField(max_length=40)
    object_type = models.CharField(max_length=60, help_text=_("app.model"))
    object_id = models.CharField(max_length=64)
    conversation_id = models.UUIDField(null=True, db_index=True)
    ip = models.GenericIPAddressField(null=True)
    details = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text=_("More about the action. Never message text.")
    )

    class Meta:
        verbose_name_plural = _("audit entries")
        indexes = (  # ids are ordered by time; the text search index is in a migration
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["verb", "-id"], name="audit_by_verb"),
            models.Index(fields=["object_type", "-id"], name="audit_by_type"),
            models.Index(fields=["object_id", "-id"], name="audit_by_object"),
        )

    def __str__(self) -> str:
        return f"{self.actor_email} {self.verb} {self.object_type} {self.object_id}"
