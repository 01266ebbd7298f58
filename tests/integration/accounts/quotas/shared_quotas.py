"""Groups with a shared quota, for the tests."""

from __future__ import annotations

from django.contrib.auth.models import Group

from accounts.models import Quota, Unit, User


def team(*members: User, name: str = "Team") -> Group:
    group = Group.objects.create(name=name)
    for one in members:
        one.groups.add(group)
    return group


def share(group: Group, limit: int, unit: Unit = Unit.MESSAGES, period: str = "day", hard: bool = True) -> Quota:
    return Quota.objects.create(group=group, unit=unit, period=period, limit=limit, shared=True, hard=hard)
