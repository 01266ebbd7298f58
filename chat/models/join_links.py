"""Links by which people become members of a conversation."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.conversations import Conversation, Role


class JoinLink(models.Model):
    """Whoever has the link and an account may join. Of its secret only the hash is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="join_links")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    role = models.CharField(
        max_length=10, choices=((Role.EDITOR.value, Role.EDITOR.label), (Role.VIEWER.value, Role.VIEWER.label))
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    most_uses = models.PositiveIntegerField(null=True, blank=True, help_text=_("Empty: no limit."))
    uses = models.PositiveIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(role__in=("editor", "viewer")), name="join_link_never_owner"),
            models.CheckConstraint(
                condition=Q(most_uses=None) | Q(uses__lte=F("most_uses")), name="join_link_uses_bounded"
            ),
        )

    def __str__(self) -> str:
        return gettext("Link to join %(id)s") % {"id": self.id}
