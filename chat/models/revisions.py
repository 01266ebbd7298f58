"""What messages said before they were edited in place or deleted."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.texts import gettext_noop
from chat.models.messages import Message

READ_REVISION = "chat.read_revision"  # the permission to read the earlier texts


class RevisionKind(models.TextChoices):
    EDITED = "edited", _("Edited in place")
    DELETED = "deleted", _("Deleted")


class Revision(models.Model):
    """The text that a message had before one change. Only staff with a permission read it; no member does."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="revisions")
    kind = models.CharField(max_length=8, choices=RevisionKind, help_text=_("How the message was changed."))
    text = models.TextField(blank=True)
    reasoning = models.TextField(
        _("thinking"), blank=True, help_text=_("The model's thinking. Only for deleted answers.")
    )
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ("view",)
        permissions: ClassVar = (("read_revision", gettext_noop("Can read earlier and deleted texts of messages")),)
        ordering: ClassVar = ("-changed_at",)
        indexes: ClassVar = (models.Index(fields=["changed_at"], name="revision_by_time"),)

    def __str__(self) -> str:
        return gettext("Revision %(id)s") % {"id": self.pk}

    @property
    def conversation_id(self) -> uuid.UUID:
        """The message's conversation."""
        return self.message.conversation_id
