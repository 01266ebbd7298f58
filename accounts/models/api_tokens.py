"""Tokens with which programs use the API in a user's name."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from accounts.models.users import User


class TokenScope(models.TextChoices):
    """What a token may be used for."""

    MODELS = "models.read", _("List the models")
    CHAT = "chat", _("Ask models")
    READ = "conversations.read", _("Read your conversations and files")
    SOCKET = "conversations", _("Read your conversations and write in them, as the page does")
    USAGE = "usage.read", _("Read your usage and quotas")


class ApiToken(models.Model):
    """A token of a user. Its secret is shown once, when it is created; only a hash of it is stored.

    A token works until it is revoked or expires, its user is disabled, or the API is switched off.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, editable=False, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    token_hash = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list, editable=False)
    rate = models.CharField(
        _("rate limit"), max_length=20, blank=True, default="", editable=False,
        help_text=_("Requests per time, such as 30/m, beside RATE_API. Empty: none of its own."),
    )  # fmt: skip
    daily_requests = models.PositiveIntegerField(
        _("answers per day"), null=True, blank=True, editable=False,
        help_text=_("How many answers may be asked for with this token in one day (UTC). Empty: no limit of its own."),
    )  # fmt: skip
    day = models.DateField(null=True, editable=False)
    day_count = models.PositiveIntegerField(_("answers that day"), default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        default_permissions = ("view",)
        permissions = (("revoke_apitoken", gettext_noop("Can revoke other users' API tokens")),)

    def __str__(self) -> str:
        return gettext("API token %(prefix)s") % {"prefix": self.prefix}

    @property
    def state(self) -> str:
        """`working`, `expired` or `revoked`, by this process's clock."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= timezone.now() else "working"
