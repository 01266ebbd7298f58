"""Notices on the admin's first page: what staff should do about sign-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Plan, User
from accounts.quotas.plans import has_default_quota

OPEN_WITHOUT_QUOTA = _(
    "Anyone can sign up and use the model without a limit: sign-up is open, and the default plan has no hard quota."
)


Notices = Callable[[User], list[tuple[str, str, str]]]
_others: Final[list[Notices]] = []


def register_notices(notices: Notices) -> None:
    """Adds notices of another app to those that `notices_for` returns."""
    _others.append(notices)


def is_open_without_quota() -> bool:
    """Whether people from outside this machine can create an account that no hard quota limits."""
    return settings.SIGN_UP == "open" and not settings.LOOPBACK_ONLY and not has_default_quota()


def notices_for(viewer: User) -> list[tuple[str, str, str]]:
    """What the viewer may do something about: sentences, each with the text and address of a link."""
    found = []
    if viewer.has_perm("accounts.view_plan") and is_open_without_quota():
        plan = Plan.objects.filter(is_default=True).first()
        address = reverse("admin:accounts_plan_change", args=[plan.pk]) if plan else reverse("admin:accounts_plan_add")
        found.append((str(OPEN_WITHOUT_QUOTA), gettext("Add a quota"), address))
    if viewer.has_perm("accounts.approve_user") and (
        waiting := User.objects.filter(awaits_approval=True)[:100].count()
    ):
        said = ngettext("%(count)d account is awaiting approval.", "%(count)d accounts are awaiting approval.", waiting)
        found.append(
            (
                said % {"count": waiting},
                gettext("Show"),
                f"{reverse('admin:accounts_user_changelist')}?approval=waiting",
            )
        )
    for notices in _others:
        found += notices(viewer)
    return found
