"""Which plan applies to a user; the default plan and default quota of a new site."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Case, F, Subquery, When

from accounts.models import Plan, Quota

# A day, for each user of the default plan of a site that others reach.
DEFAULT_QUOTAS: Final = {"messages": Decimal(200), "audio_seconds": Decimal(3600)}


def plan_field(field: str, user: str = "") -> Case:
    """A query expression: a field of the plan that applies to a user, their own or the default plan.

    `user` is the lookup of the user from the query's model with its `__`, such as "requested_by__". Null if the user
    has no plan and there is no default plan.
    """
    default = Subquery(Plan.objects.filter(is_default=True).values(field)[:1])
    return Case(When(**{f"{user}plan__isnull": False}, then=F(f"{user}plan__{field}")), default=default)


def create_default_plan(using: str = DEFAULT_DB_ALIAS, apps: Apps = all_apps, **_kwargs: Any) -> None:
    """Creates the plan "Default" if there is no plan, with quotas where others than this machine are served.

    Runs after `migrate` and `flush`, also on old states. The quotas are created once, while there are no users but
    staff: they surprise nobody, and what an operator deletes stays deleted.
    """
    try:
        plans: models.QuerySet[Any] = models.QuerySet(apps.get_model("accounts", "Plan"), using=using)
    except LookupError:
        return
    if not plans.exists():
        plans.create(name="Default", is_default=True)
    if settings.LOOPBACK_ONLY:
        return
    try:
        quotas: models.QuerySet[Any] = models.QuerySet(apps.get_model("accounts", "Quota"), using=using)
        users: models.QuerySet[Any] = models.QuerySet(apps.get_model("accounts", "User"), using=using)
        default = plans.filter(is_default=True, quota_offered=False).first()
    except (LookupError, FieldError):
        return
    if default is None or users.filter(is_staff=False).exists():
        return
    if not quotas.filter(plan=default).exists():
        for unit, limit in DEFAULT_QUOTAS.items():
            quotas.create(plan=default, unit=unit, period="day", limit=limit)
    plans.filter(pk=default.pk).update(quota_offered=True)


def has_default_quota() -> bool:
    """Whether a hard quota applies to every user without a plan or group of their own."""
    return Quota.objects.filter(plan__is_default=True, hard=True, model="").exists()
