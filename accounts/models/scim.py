"""Directories that provision users and groups here by SCIM 2.0: their tokens, and what they call what is here."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.models.users import User


class ScimToken(models.Model):
    """A directory's token. Its secret is shown once; only a hash of it is stored. It works until it is revoked."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=60, unique=True, help_text=_("Which directory uses it, such as Entra ID."))
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    token_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("SCIM token")
        verbose_name_plural = _("SCIM tokens")

    def __str__(self) -> str:
        return gettext("SCIM token %(name)s") % {"name": self.name}


class ScimResource(models.Model):
    """What directories know of a user or a group: their own id of it, and when it changed."""

    user = models.OneToOneField(User, null=True, on_delete=models.CASCADE, related_name="scim", editable=False)
    group = models.OneToOneField("auth.Group", null=True, on_delete=models.CASCADE, related_name="scim", editable=False)
    external_id = models.CharField(max_length=255, blank=True, default="", editable=False)
    given_name = models.CharField(max_length=120, blank=True, default="", editable=False)
    family_name = models.CharField(max_length=120, blank=True, default="", editable=False)
    deactivated = models.BooleanField(default=False, editable=False)  # by a directory, which may undo it
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions: ClassVar = ()
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(user=None, group__isnull=False) | Q(user__isnull=False, group=None), name="scim_of_one"
            ),
        )
        indexes: ClassVar = (models.Index(fields=["external_id"], name="scim_by_external_id"),)

    def __str__(self) -> str:
        return self.external_id or str(self.pk)
