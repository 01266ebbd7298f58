"""Webhooks: addresses of other systems that are told what happens here, and each delivery to them."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib import encryption
from accounts.lib.ids import uuid7

PREFIX: Final = "whsec_"  # of each secret
OVERLAP: Final = timedelta(hours=24)  # how long the secret before signs as well


class WebhookEvent(models.TextChoices):
    """What happened, as the type of an event names it."""

    ANSWER_FINISHED = "answer.finished", _("An answer has ended")
    QUOTA_REACHED = "quota.reached", _("A user has used up a quota")
    USER_CREATED = "user.created", _("A user was created")
    CASE_OPENED = "case.opened", _("A moderation case was opened")


OF_USERS: Final = (WebhookEvent.ANSWER_FINISHED, WebhookEvent.QUOTA_REACHED)  # what users' own webhooks may get


class Webhook(models.Model):
    """An address that gets events, signed with a secret that is stored encrypted. Only workers send them."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="webhooks", editable=False,
        help_text=_("A user's own gets events about that user only. Empty: the site's, which gets all."),
    )  # fmt: skip
    name = models.CharField(max_length=80)
    url = models.CharField(
        _("address"), max_length=500,
        help_text=_("Gets a POST for each event. An internal network must be listed in FETCH_ALLOWED_NETWORKS."),
    )  # fmt: skip
    events = models.JSONField(default=list)
    with_text = models.BooleanField(
        _("with texts"), default=False,
        help_text=_("Also sends what people wrote and models answered, as it is when the event is sent. Off: ids and "
        "numbers only."),
    )  # fmt: skip
    enabled = models.BooleanField(default=True)
    encrypted_secret = models.TextField(editable=False)
    encrypted_old_secret = models.TextField(blank=True, default="", editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    succeeded_at = models.DateTimeField(_("last success"), null=True, editable=False)
    disabled_because = models.CharField(max_length=200, blank=True, default="", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints: ClassVar = (
            models.UniqueConstraint(fields=("owner", "name"), nulls_distinct=False, name="webhook_name_once"),
        )

    def __str__(self) -> str:
        return self.name

    def new_secret(self) -> str:
        """Gives it a new secret and returns it; the one before signs as well for `OVERLAP`. The caller saves it."""
        text = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        self.encrypted_old_secret, self.encrypted_secret = self.encrypted_secret, encryption.encrypt(text)
        self.rotated_at = timezone.now()
        return text

    def read_secrets(self) -> list[str]:
        """The secrets that sign now, the newest first. Raises `UnreadableError`."""
        found = [encryption.decrypt(self.encrypted_secret)]
        if self.encrypted_old_secret and self.rotated_at and timezone.now() - self.rotated_at < OVERLAP:
            found.append(encryption.decrypt(self.encrypted_old_secret))
        return found


class DeliveryState(models.TextChoices):
    PENDING = "pending", _("pending")
    DELIVERED = "delivered", _("delivered")
    FAILED = "failed", _("failed")


class WebhookDelivery(models.Model):
    """One event for one webhook. A worker that takes it moves `next_attempt_at` first: if the worker is lost, another
    one takes it then. `log` has each attempt: `at`, `status`, `ms`, `error`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without a constraint: whoever ends an answer must not fail because a webhook is deleted in that moment.
    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="deliveries", db_constraint=False, editable=False
    )
    event = models.CharField(max_length=20, choices=WebhookEvent, editable=False)
    data: Any = models.JSONField(default=dict, editable=False)  # ids and numbers; texts are read when it is sent
    key = models.CharField(max_length=200, blank=True, default="", editable=False)  # the same is sent once
    state = models.CharField(max_length=9, choices=DeliveryState, default=DeliveryState.PENDING, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    next_attempt_at = models.DateTimeField(default=timezone.now, editable=False)
    log = models.JSONField(_("attempts"), default=list, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        default_permissions = ("view",)
        indexes: ClassVar = (
            models.Index(fields=["next_attempt_at"], condition=Q(state="pending"), name="delivery_pending"),
            models.Index(fields=["created_at"], name="delivery_created"),
        )
        constraints: ClassVar = (
            models.UniqueConstraint(fields=("webhook", "key"), condition=~Q(key=""), name="delivery_once"),
        )

    def __str__(self) -> str:
        return gettext("Delivery %(id)s") % {"id": self.id}
