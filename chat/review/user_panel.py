"""The strikes of a user, for their page in the admin."""

from __future__ import annotations

from typing import Final

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

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
        gettext("Strikes: %(count)d") % {"count": valid},
        [
            (
                _about(row),
                f"{moment(row.given_at)} · {_state(row)}",
                reverse("admin:chat_moderationcase_change", args=[row.decision.case_id]),
            )
            for row in rows
        ],
        gettext("No strikes."),
    )


def _about(row: Strike) -> str:
    decision = row.decision
    shown = {
        "count": row.count,
        "category": decision.case.get_category_display(),
        "decision": decision.get_kind_display(),
    }
    return ngettext(
        "%(count)d strike (%(category)s): %(decision)s", "%(count)d strikes (%(category)s): %(decision)s", row.count
    ) % shown  # fmt: skip


def _state(row: Strike) -> str:
    if row.taken_back_at is not None:
        return gettext("withdrawn after an appeal")
    said = gettext("until %(time)s") if row.expires_at > timezone.now() else gettext("expired %(time)s")
    return said % {"time": moment(row.expires_at)}
