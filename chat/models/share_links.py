"""Links by which people read a conversation without being its members."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.conversations import Conversation
from chat.models.messages import Message


class ShareKind(models.TextChoices):
    SNAPSHOT = "snapshot", _("Snapshot")
    LIVE = "live", _("Live")


class ShareAudience(models.TextChoices):
    ANYONE = "anyone", _("Anyone with the link")
    USERS = "users", _("People with an account")
    PASSWORD = "password", _("Anyone with the link and its password")  # a choice's name


class ShareLink(models.Model):
    """Whoever has the link may read: a snapshot as it was at one message, or the conversation as it goes on.

    Of the link's secret and of its password only hashes are stored.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="share_links")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=ShareKind.choices)
    audience = models.CharField(max_length=10, choices=ShareAudience.choices)
    password = models.CharField(max_length=200, blank=True, default="", editable=False, help_text=_("Hashed."))
    title = models.CharField(
        max_length=200, blank=True, default="", help_text=_("The title at the time of the snapshot.")
    )
    show_names = models.BooleanField(default=True)
    show_reasoning = models.BooleanField(_("show thinking"), default=False)
    show_tools = models.BooleanField(
        _("show tools"),
        default=False,
        db_default=False,
        help_text=_("Arguments and results of the tools that models used."),
    )
    show_files = models.BooleanField(
        default=False, db_default=False, help_text=_("Files that people attached to messages.")
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="share_links")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    views = models.PositiveIntegerField(default=0)
    viewed_at = models.DateTimeField(_("last viewed"), null=True, blank=True)

    class Meta:
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(kind__in=ShareKind.values), name="share_kind_known"),
            models.CheckConstraint(
                condition=Q(audience__in=("anyone", "users"), password="") | Q(audience="password") & ~Q(password=""),
                name="share_password_with_its_audience",
            ),
        )

    def __str__(self) -> str:
        return gettext("Share link %(id)s") % {"id": self.id}


class SharedMessage(models.Model):
    """A message as a snapshot shows it. `moderation` is what `Message.moderation` was then.

    Where moderation changed the message since, the message itself is shown (`chat.moderation.rewriting` also changes
    this row); a message that is deleted takes this row with it.
    """

    link = models.ForeignKey(ShareLink, on_delete=models.CASCADE, related_name="shared_messages", db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField(help_text=_("Its place in the snapshot, from 0."))
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    moderation = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["link", "number"], name="shared_message_once"),)

    def __str__(self) -> str:
        return f"message {self.message_id} in share link {self.link_id}"
