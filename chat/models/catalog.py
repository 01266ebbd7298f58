"""What staff decided about models, and which models users prefer. Models go by name, as in runs, quotas and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Plan

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class Visibility(models.TextChoices):
    AUTOMATIC = "", _("automatic: offered if it is a chat model")
    SHOWN = "shown", _("always offered")
    HIDDEN = "hidden", _("hidden from everyone")


def _property(name: StrPromise) -> models.BooleanField[Any, Any]:
    return models.BooleanField(name, null=True, blank=True, help_text=_("Unknown: as reported by the endpoint."))


class KnownModel(models.Model):
    """A model that an endpoint lists, or that staff added, with what staff decided about it.

    Workers insert the rows and keep `endpoint`, `reason` and `seen_at` (`workers.endpoints.known_models`).
    """

    name = models.CharField(max_length=200, unique=True, help_text=_("The name that the endpoint uses."))
    label = models.CharField(
        max_length=200, blank=True, help_text=_("The name that users see. Empty: the last part of the name.")
    )
    visibility = models.CharField(max_length=8, blank=True, default=Visibility.AUTOMATIC, choices=Visibility.choices)
    sees = _property(_("sees images"))
    thinks = _property(_("thinks"))
    tools = _property(_("calls tools"))
    # A field of its own, so that deleting the last of its groups does not open a model to everyone.
    limited = models.BooleanField(
        _("only for groups"), default=False, help_text=_("Only members of the groups below can use this model.")
    )
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(Group, blank=True, related_name="+")
    default_groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(
        Group, blank=True, related_name="+", verbose_name=_("default of groups"),
        help_text=_("New conversations of members of these groups start with this model."),
    )  # fmt: skip
    default_plans: models.ManyToManyField[Plan, Any] = models.ManyToManyField(
        Plan, blank=True, related_name="+", verbose_name=_("default of plans"),
        help_text=_(
            "New conversations of users with these plans start with this model, unless one of their "
            "groups has a default."
        ),
    )  # fmt: skip
    endpoint = models.CharField(max_length=80, blank=True, editable=False, help_text=_("Where it was listed last."))
    reason = models.CharField(
        max_length=200, blank=True, editable=False, help_text=_("Why its endpoint does not offer it. Empty: it does.")
    )
    seen_at = models.DateTimeField(null=True, editable=False, help_text=_("When it was listed last, to the hour."))

    class Meta:
        verbose_name = _("model")
        ordering: ClassVar = ("name",)
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(visibility__in=Visibility.values), name="known_model_visibility"),
        )

    def __str__(self) -> str:
        return self.label or self.name


class FavouriteModel(models.Model):
    """A model that a user has starred in the picker."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="favourite_models", db_index=False
    )
    model = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["user", "model"], name="favourite_model_once"),)

    def __str__(self) -> str:
        return self.model


class ModelChoice(models.Model):
    """The model that a user chose last: their next conversation starts with it."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="model_choice")
    model = models.CharField(max_length=200)
    chosen_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.model
