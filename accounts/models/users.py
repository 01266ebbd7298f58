"""Users, their sessions, and invitations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.db.models.signals import post_save
from django.dispatch import Signal, receiver
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.names import shown_name
from accounts.lib.texts import gettext_noop

users_changed = Signal()
"""Sent with `sender=User` after passwords or `is_active` of users were saved, one by one or in bulk.

`users` (list of `User`): those whose sessions are no longer valid. `inactive` (set of UUID): the ids of those among
them whose account is inactive. `accounts.auth.signals` ends the sessions.
"""


class UserQuerySet(models.QuerySet["User"]):
    """Bulk updates, as admin actions and scripts make them, end sessions just as saving one user does."""

    def update(self, **fields: Any) -> int:
        if not {"is_active", "password"} & fields.keys():
            return super().update(**fields)
        users = list(self)
        changed = super().update(**fields)
        inactive = set(
            User.objects.filter(pk__in=[user.pk for user in users], is_active=False).values_list("pk", flat=True)
        )
        ended = [user for user in users if "password" in fields or user.pk in inactive]
        if ended:
            users_changed.send(sender=User, users=ended, inactive=inactive)
        return changed

    update.alters_data = True  # type: ignore[attr-defined]  # Django's mark: templates may not call it


class UserManager(BaseUserManager["User"]):
    """Creates users by email address."""

    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        if not email:
            raise ValueError("a user needs an email address")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class MentionMails(models.TextChoices):
    """Whether a user gets mails about messages that mention them, which they have not seen after a while."""

    OFF = "off", _("no mails")
    ON = "on", _("mails that say who mentioned me")
    TEXT = "text", _("mails with the text of the message")


class User(AbstractBaseUser, PermissionsMixin):
    """A user. They log in with the email address; other members of a conversation see the name."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(_("email address"), max_length=254, unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Disable the account instead of deleting it. Ends all sessions.")
    )
    second_factor_due = models.DateTimeField(null=True, editable=False)  # without one until then, where one is needed
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("Can log in to the admin."))
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    plan = models.ForeignKey(
        "accounts.Plan", null=True, blank=True, on_delete=models.PROTECT, related_name="users", db_index=False,
        help_text=_("If empty, the default plan applies."),
    )  # fmt: skip
    awaits_approval = models.BooleanField(db_default=False, default=False, editable=False)  # signed up, not let in yet
    erase_at = models.DateTimeField(_("scheduled erasure"), null=True, editable=False)  # inactive until then
    erase_asked = models.BooleanField(db_default=False, default=False, editable=False)  # by the user, not by staff
    was_active = models.BooleanField(db_default=True, editable=False)  # `is_active` before the erasure was scheduled
    suspended_until = models.DateTimeField(null=True, blank=True, editable=False)  # until then it can only read
    suspension_reason = models.CharField(max_length=300, blank=True, db_default="", default="", editable=False)
    time_zone = models.CharField(max_length=64, blank=True, db_default="", default="", editable=False)  # last browser's
    language = models.CharField(
        max_length=10, blank=True, db_default="", default="", editable=False
    )  # their own choice
    browser_language = models.CharField(
        max_length=10, blank=True, db_default="", default="", editable=False
    )  # last one's
    # What they chose for voice on all their devices: `chat.voice.choices` says what it may be.
    voice = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), editable=False)
    mention_mails = models.CharField(
        max_length=4, choices=MentionMails.choices, default=MentionMails.ON, db_default=MentionMails.ON, editable=False
    )

    objects: ClassVar[UserManager] = UserManager()
    saved_password: str | None = None  # the hash in the row, as last loaded or saved

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        permissions = (
            ("view_dashboard", gettext_noop("Can view the dashboard")),
            ("disable_user", gettext_noop("Can disable and enable accounts")),
            ("approve_user", gettext_noop("Can approve accounts that wait for approval")),
            ("end_sessions", gettext_noop("Can end users' sessions")),
            ("top_up", gettext_noop("Can top up and reset quotas")),
            ("assign_plan", gettext_noop("Can change a user's plan")),
            (
                "assign_roles",
                gettext_noop("Can give staff access and roles that have no more permissions than oneself"),
            ),
            ("invite_user", gettext_noop("Can invite users")),
            ("export_user", gettext_noop("Can export all data of a user, including messages")),
            ("view_as_user", gettext_noop("Can view pages as another user, with all that the user can read")),
            ("reset_second_factor", gettext_noop("Can reset users' second factors")),
            ("erase_user", gettext_noop("Can erase users")),
            ("merge_user", gettext_noop("Can merge two accounts of one person")),
            ("export_lists", gettext_noop("Can export lists")),
            ("import_lists", gettext_noop("Can import lists of objects that one may change")),
        )
        indexes = (
            models.Index(fields=["erase_at"], condition=Q(erase_at__isnull=False), name="user_erased_next"),
            # For the admin's list. The text search index is in a migration.
            models.Index(fields=["-id"], condition=Q(is_staff=True), name="user_staff"),
            models.Index(fields=["-id"], condition=Q(is_active=False), name="user_switched_off"),
            models.Index(fields=["-id"], condition=Q(awaits_approval=True), name="user_awaits_approval"),
            models.Index(fields=["plan", "-id"], name="user_by_plan"),
        )
        constraints = (
            models.UniqueConstraint(Lower("email"), name="user_email_ci_unique"),
            models.CheckConstraint(condition=Q(mention_mails__in=MentionMails.values), name="user_mention_mails_known"),
        )

    def __str__(self) -> str:
        return self.email

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> User:
        user = super().from_db(*args, **kwargs)
        user.saved_password = user.__dict__.get("password")  # missing when deferred
        return user

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        self.saved_password = self.__dict__.get("password")

    def clean(self) -> None:
        super().clean()
        self.email = self.email.lower()

    @property
    def display_name(self) -> str:
        """What other people see of the user, without characters that could deceive them."""
        return shown_name(self.name) or shown_name(self.email.partition("@")[0])

    def get_full_name(self) -> str:
        return self.display_name

    def get_short_name(self) -> str:
        return self.display_name


@receiver(post_save, sender=User)
def announce_saved_user(
    sender: type[User], instance: User, created: bool, update_fields: Iterable[str] | None, **kwargs: Any
) -> None:
    """Sends `users_changed` for a new password or an inactive account.

    Any new hash counts as a new password, as for `django.contrib.auth`, which rejects sessions opened with the old one.
    """
    saved = {"is_active", "password"} if update_fields is None else set(update_fields)
    deactivated = "is_active" in saved and not instance.is_active
    new_password = "password" in saved and instance.password != instance.saved_password
    if "password" in saved:
        instance.saved_password = instance.password
    if not created and (deactivated or new_password):
        users_changed.send(sender=User, users=[instance], inactive={instance.pk} if deactivated else set())


class Session(AbstractBaseSession):
    """A browser's session: Django's row, and where it was last used from (see `accounts.auth.sessions`).

    `hash` identifies the session in groups, tickets, logs and pages, where the secret session key must not appear.
    """

    hash = models.CharField(max_length=32, unique=True, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(default=timezone.now, editable=False)
    ip = models.GenericIPAddressField(null=True, editable=False)
    user_agent = models.CharField(max_length=200, blank=True, editable=False)
    # Of a log-in through a provider: hashes of its user there, and of its session there (accounts.auth.sso.sessions).
    sso_subject = models.CharField(max_length=32, blank=True, db_default="", default="", editable=False)
    sso_session = models.CharField(max_length=32, blank=True, db_default="", default="", editable=False)

    class Meta(AbstractBaseSession.Meta):
        indexes = (
            models.Index(fields=["sso_subject"], condition=~Q(sso_subject=""), name="session_by_sso_subject"),
            models.Index(fields=["sso_session"], condition=~Q(sso_session=""), name="session_by_sso_session"),
        )

    def __str__(self) -> str:
        return f"session {self.hash[:8]}"

    def save(self, *args: Any, force_update: bool = False, **kwargs: Any) -> None:
        # Django's store saves a new instance over the row at each change; the fields of this model must stay.
        if force_update:
            kwargs["update_fields"] = ("session_data", "expire_date", "user")
        super().save(*args, force_update=force_update, **kwargs)


class Invitation(models.Model):
    """An email address that may create one account until `expires_at`. Only a hash of the link's secret is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(_("email address"), max_length=254)
    plan = models.ForeignKey("accounts.Plan", null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    role = models.ForeignKey("auth.Group", null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    by = models.ForeignKey(User, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(editable=False)
    mailed_at = models.DateTimeField(null=True, editable=False)  # if set, opening the link verifies the address
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(User, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                Lower("email"), condition=Q(accepted_at=None, revoked_at=None), name="invitation_one_open"
            ),
        )

    def __str__(self) -> str:
        return gettext("Invitation of %(email)s") % {"email": self.email}
