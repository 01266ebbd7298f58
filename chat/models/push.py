"""Browsers that get notifications by Web Push (RFC 8030)."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7


class PushSubscription(models.Model):
    """One browser of one user. Whoever knows `endpoint` can send to it, so no page, log or export shows it.

    It counts while the session in which it was made lives: after a log-out nothing is sent to that browser.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="push_subscriptions", editable=False
    )
    session_hash = models.CharField(max_length=32, editable=False)
    endpoint = models.TextField(editable=False)
    endpoint_hash = models.CharField(max_length=64, unique=True, editable=False)  # SHA-256, hexadecimal
    host = models.CharField(_("push service"), max_length=253, editable=False)
    p256dh = models.CharField(max_length=100, editable=False)  # the browser's public key, base64url
    auth = models.CharField(max_length=40, editable=False)  # the secret of RFC 8291, base64url
    device = models.CharField(max_length=200, editable=False)
    with_text = models.BooleanField(_("shows titles and text"), default=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)  # one after another
    retry_at = models.DateTimeField(null=True, editable=False)  # nothing is sent before
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(_("last sent"), null=True, editable=False)

    class Meta:
        verbose_name = _("notified device")
        indexes: ClassVar = (models.Index(fields=["session_hash"], name="push_by_session"),)

    def __str__(self) -> str:
        return f"{self.device} ({self.host})"
