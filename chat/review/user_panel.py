"""The strikes of a user, for their page in the admin."""

from __future__ import annotations

from typing import Final

from django.urls import reverse
from django.utils import timezone

from accounts.lib.formatting import moment
from accounts.models import User
from accounts.staff.user_panels import UserPanel
from chat.models.strikes import Strike

PERMISSION: Final = "chat.view_strike"
SHOWN: Final = 20


def strikes_panel(viewer: User, user: User) -> UserPanel | None:
    """The newest strikes, also those that count no more; None without the permission."""
    if not viewer.has_perm(PERMISSION):
        return None
    rows = Strike.objects.filter(person=user).select_related("decision__case").order_by("-given_at")[:SHOWN]
    valid = sum(row.count for row in rows if row.taken_back_at is None and row.expires_at > timezone.now())
    return UserPanel(
        f"Strikes: {valid}",
        [
            (
                f"{row.count} for {row.decision.case.get_category_display().lower()}, {row.decision.kind}",
                f"{moment(row.given_at)}, {_state(row)}",
                reverse("admin:chat_moderationcase_change", args=[row.decision.case_id]),
            )
            for row in rows
        ],
        "No strikes.",
    )


def _state(row: Strike) -> str:
    if row.taken_back_at is not None:
        return "taken back after an appeal"
    return f"{'until' if row.expires_at > timezone.now() else 'ended'} {moment(row.expires_at)}"
