"""Acts that one member of staff asks for and another one approves (the setting FOUR_EYES)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.models.users import User


class ActKind(models.TextChoices):
    ERASE_USER = "erase_user", _("erase a user")
    EXPORT_USER = "export_user", _("export all data of a user")
    EXPORT_LIST = "export_list", _("export a list")
    MERGE_USER = "merge_user", _("merge a user into another")


class ActState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    APPROVED = "approved", _("approved")
    REFUSED = "refused", _("refused")
    DONE = "done", _("done")


class PendingAct(models.Model):
    """An act that was asked for. `what`: of a list, its model as app.model and the filters of its address; of a
    merge, the email address of the account that stays.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=12, choices=ActKind.choices, editable=False)
    user = models.ForeignKey(
        User, null=True, on_delete=models.CASCADE, related_name="+", editable=False,
        verbose_name=_("user concerned"),
    )  # fmt: skip
    what = models.CharField(_("list"), max_length=500, blank=True, default="", editable=False)
    reason = models.CharField(max_length=500, editable=False)
    state = models.CharField(max_length=8, choices=ActState.choices, default=ActState.WAITING, editable=False)
    asked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        default_permissions = ("view",)
        constraints: ClassVar = (
            # One open request for the same act, so that nobody piles them up.
            models.UniqueConstraint(
                fields=["kind", "user", "what", "asked_by"], condition=Q(state="waiting"), nulls_distinct=False,
                name="approval_one_waiting",
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.get_kind_display()
