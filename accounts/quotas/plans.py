"""Which plan applies to a user, and the default plan of a new site."""

from __future__ import annotations

from typing import Any

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Case, F, Subquery, When

from accounts.models import Plan


def plan_field(field: str, user: str = "") -> Case:
    """A query expression: a field of the plan that applies to a user, their own or the default plan.

    `user` is the lookup of the user from the query's model with its `__`, such as "requested_by__". Null if the user
    has no plan and there is no default plan.
    """
    default = Subquery(Plan.objects.filter(is_default=True).values(field)[:1])
    return Case(When(**{f"{user}plan__isnull": False}, then=F(f"{user}plan__{field}")), default=default)


def create_default_plan(using: str = DEFAULT_DB_ALIAS, apps: Apps = all_apps, **_kwargs: Any) -> None:
    """Creates the plan "Default" if there is no plan. Runs after `migrate` and `flush`, also on old states."""
    try:
        plans: models.QuerySet[Any] = models.QuerySet(apps.get_model("accounts", "Plan"), using=using)
    except LookupError:
        return
    if not plans.exists():
        plans.create(name="Default", is_default=True)
