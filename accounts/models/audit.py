"""The audit log: what staff viewed and changed, and security events. Append-only."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
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
    subjects = ArrayField(
        models.UUIDField(), default=list, db_default=[], help_text=_("Ids of the users whom it concerns.")
    )
    reason = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text=_("Why, in the actor's words.")
    )
    changes = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()),
        help_text=_("Before and after of each field that was changed."),
    )  # fmt: skip
    system_user = models.CharField(
        max_length=100, blank=True, default="", db_default="",
        help_text=_("Who ran a command: the user of the operating system, and the machine."),
    )  # fmt: skip

    class Meta:
        verbose_name_plural = _("audit entries")
        indexes = (  # ids are ordered by time; the text search index is in a migration
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["verb", "-id"], name="audit_by_verb"),
            models.Index(fields=["object_type", "-id"], name="audit_by_type"),
            models.Index(fields=["object_id", "-id"], name="audit_by_object"),
            GinIndex(fields=["subjects"], name="audit_by_subject"),
        )

    def __str__(self) -> str:
        return f"{self.actor_email} {self.verb} {self.object_type} {self.object_id}"


class AuditSeal(models.Model):
    """The place of an entry in the hash chain (`accounts.audit_chain`). Append-only, as entries are."""

    number = models.BigIntegerField(primary_key=True, editable=False)  # 1, 2, 3, … without a gap
    entry_id = models.UUIDField(unique=True, editable=False)
    hash = models.CharField(max_length=64, editable=False, help_text=_("SHA-256 of the hash before it and the entry."))

    class Meta:
        default_permissions = ()
        verbose_name = _("audit seal")
        verbose_name_plural = _("audit seals")

    def __str__(self) -> str:
        return f"{self.number}: {self.hash[:12]}"
