"""Claims at each log-in: groups, plan and staff access follow the provider, also when a claim goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.contrib.auth.models import Group
from django.db import transaction

from accounts.auth.sso_settings import SsoProvider, claim_values
from accounts.models import Plan, User

logger = structlog.get_logger(__name__)


def apply_claims(user: User, provider: SsoProvider, claims: Mapping[str, Any]) -> str:
    """Gives the user what their claims map to, and takes what the mapping names and the claims do not give.

    Groups and plans that the mapping does not name stay as staff set them. A superuser keeps staff access. Returns what
    has changed, in words for the audit log; empty if nothing has.
    """
    values = claim_values(claims, provider.claim)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        changes = [*_apply_groups(locked, provider, values), *_apply_plan(locked, provider, values)]
        if provider.staff and not locked.is_superuser and locked.is_staff != bool(values & provider.staff):
            locked.is_staff = not locked.is_staff
            changes.append("staff" if locked.is_staff else "no longer staff")
        if changes:
            locked.save(update_fields=["plan", "is_staff"])
    user.plan, user.is_staff = locked.plan, locked.is_staff
    return ", ".join(changes)


def _apply_groups(user: User, provider: SsoProvider, values: set[str]) -> list[str]:
    named = {name for _value, name in provider.groups}
    wanted = {name for value, name in provider.groups if value in values}
    groups = {group.name: group for group in Group.objects.filter(name__in=named)}
    if missing := wanted - groups.keys():
        logger.warning("sso_group_unknown", provider=provider.id, groups=sorted(missing))
    held = set(user.groups.filter(name__in=named).values_list("name", flat=True))
    added, removed = sorted((wanted & groups.keys()) - held), sorted(held - wanted)
    user.groups.add(*(groups[name] for name in added))
    user.groups.remove(*(groups[name] for name in removed))
    return [f"added to {name}" for name in added] + [f"removed from {name}" for name in removed]


def _apply_plan(user: User, provider: SsoProvider, values: set[str]) -> list[str]:
    if not provider.plans:
        return []
    wanted = next((name for value, name in provider.plans if value in values), None)
    plan = Plan.objects.filter(name=wanted).first() if wanted else None
    if wanted and plan is None:
        logger.warning("sso_plan_unknown", provider=provider.id, plan=wanted)
        return []
    named = {name for _value, name in provider.plans}
    if plan is None and (user.plan is None or user.plan.name not in named):
        return []
    if user.plan_id == (plan.pk if plan else None):
        return []
    user.plan = plan
    return [f"plan {plan.name}" if plan else "default plan"]
