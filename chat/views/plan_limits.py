"""What the conversation page says of the reader's plan."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from accounts.models import User
from accounts.quotas.plans import plan_field
from chat.files.quota import MIB, upload_megabytes


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """`temporary_hours`: of a temporary conversation after its last message. `file_bytes`: of one file; 0: none."""

    temporary_hours: int
    file_bytes: int


def plan_limits(user: User) -> PlanLimits:
    """The limits of a user's plan, else of the settings. One query."""
    fields = (plan_field("temporary_hours"), plan_field("file_mb"))
    hours, megabytes = User.objects.filter(pk=user.pk).values_list(*fields).first() or (None, None)
    return PlanLimits(
        settings.TEMPORARY_HOURS if hours is None else hours,
        MIB * upload_megabytes(megabytes),
    )
