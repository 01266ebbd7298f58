"""What staff set for the whole site: its name and looks, what it says, and the terms to accept."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User


class BannerKind(models.TextChoices):
    NEWS = "news", _("News")
    WARNING = "warning", _("Warning")


class Feature(models.TextChoices):
    """What staff can switch off for the whole site (`accounts.features`)."""

    SIGN_UP = "sign-up", _("Sign-up without an invitation")
    UPLOADS = "uploads", _("Attaching files")
    VOICE = "voice", _("Recording voice, and calls")
    SPEECH = "speech", _("Reading aloud by the server")
    SHARING = "sharing", _("Share links")
    API = "api", _("API and tokens")
    WEB_SEARCH = "web-search", _("Searching the web")
    TEMPORARY = "temporary", _("Temporary chats")


class SiteSettings(models.Model):
    """The one row of settings. What is empty is as it comes (`accounts.site`)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    name = models.CharField(max_length=40, blank=True, help_text=_("Shown on all pages and in mails. Empty: Antiphon."))
    logo = models.BinaryField(null=True, editable=False)
    logo_type = models.CharField(max_length=20, blank=True, editable=False)
    accent = models.CharField(_("accent colour, light theme"), max_length=7, blank=True)
    accent_dark = models.CharField(_("accent colour, dark theme"), max_length=7, blank=True)
    banner = models.CharField(max_length=300, blank=True, help_text=_("A line above all pages, also above the log-in."))
    banner_kind = models.CharField(max_length=7, choices=BannerKind.choices, default=BannerKind.NEWS)
    welcome = models.CharField(
        _("welcome text"), max_length=120, blank=True,
        help_text=_("Above the message field of a new conversation. Empty: What’s on your mind?"),
    )  # fmt: skip
    starters = models.JSONField(default=list, blank=True)  # of a new conversation; texts
    terms = models.TextField(
        _("terms to accept"), max_length=100_000, blank=True,
        help_text=_("Plain text; an empty line begins a paragraph. Empty: there is nothing to accept."),
    )  # fmt: skip
    terms_version = models.PositiveIntegerField(
        _("version of the terms"), default=1, help_text=_("Everybody is asked again when this is raised.")
    )
    legal_links = models.JSONField(default=list, blank=True)  # [[title, address]]
    maintenance = models.BooleanField(
        _("maintenance mode"), default=False, db_default=False,
        help_text=_("Everybody can read; only staff can write. All pages say so. Answers under way are finished."),
    )  # fmt: skip
    maintenance_text = models.CharField(
        _("text on pages during maintenance"), max_length=300, blank=True, default="", db_default="",
        help_text=_("For example, until when. Empty: a general sentence."),
    )  # fmt: skip
    off = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)  # features
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = _("site settings")
        constraints: ClassVar = (models.CheckConstraint(condition=Q(id=1), name="site_settings_only_one"),)

    def __str__(self) -> str:
        return gettext("Site settings")

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.id = 1
        super().save(*args, **kwargs)


class TermsAcceptance(models.Model):
    """Which version of the terms a user has accepted, and when."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="accepted_terms", editable=False)
    version = models.PositiveIntegerField(editable=False)
    accepted_at = models.DateTimeField(default=timezone.now, editable=False)
    ip = models.GenericIPAddressField(null=True, editable=False)

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["user", "version"], name="terms_once"),)

    def __str__(self) -> str:
        return f"version {self.version}"
