"""Who else shares a quota, so that they see what is left of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

import redis

from accounts.lib import rate_limit
from accounts.models import User
from accounts.online import users_online
from accounts.quotas.balance import Balance

NOTICES: Final = "1/5s"  # about one quota to those who share it
MOST_ONLINE: Final = 1000


def sharers_online(user_id: uuid.UUID, quotas: Sequence[Balance]) -> list[tuple[uuid.UUID, list[Balance]]]:
    """The other users who are online and share some of these quotas, each with those that they share.

    Not those of which somebody was told a moment ago (`NOTICES`): many answers may end at once. Empty without Redis.
    """
    shared = {quota.quota_id: quota for quota in quotas if quota.shared_by and not _told(quota)}
    if not shared:
        return []
    try:
        online = set(users_online(MOST_ONLINE)) - {user_id}
    except redis.RedisError:
        return []
    rows = User.objects.filter(pk__in=online, groups__quotas__in=shared).values_list("pk", "groups__quotas")
    found: dict[uuid.UUID, list[Balance]] = {}
    for person, quota_id in rows:
        if quota_id in shared:
            found.setdefault(person, []).append(shared[quota_id])
    return list(found.items())


def _told(quota: Balance) -> bool:
    return rate_limit.try_acquire(rate_limit.required_limits((f"quota:{quota.quota_id}", NOTICES))) > 0
