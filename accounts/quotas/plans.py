"""Which plan applies to a user, and the plan every new site starts with."""

from __future__ import annotations

from typing import Any

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Case, F, Subquery, When

from accounts.models import Plan


def plan_field(field: str, user: str = "") -> Case:
    """For a query: a field of the plan that holds a user, their own or the default. `user` is the way to the user from
    the query's model, with its `__` ("requested_by__"). Null where there is no user's plan and no default.
    """
    default = Subquery(Plan.objects.filter(is_default=True).values(field)[:1])
    return Case(When(**{f"{user}plan__isnull": False}, then=F(f"{user}plan__{field}")), default=default)


def create_default_plan(using: str = DEFAULT_DB_ALIAS, apps: Apps = all_apps, **_kwargs: Any) -> None:
    """After `migrate` and `flush`: without any plan a quota could hold for nobody. `apps` may be of an older state."""
    try:
        plans: models.QuerySet[Any] = models.QuerySet(apps.get_model("accounts", "Plan"), using=using)
    except LookupError:
        return
    if not plans.exists():
        plans.create(name="Default", is_default=True)
