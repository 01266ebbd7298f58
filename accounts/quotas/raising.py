"""Raises the quotas of many users by a share of their limits, in the current period."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Final

from django.db import connection, transaction

from accounts.models import Quota, TopUp, Unit
from accounts.models.fields import NANO
from accounts.quotas.balance import PERIOD, add_recorded_usage, lock_ledger_for_many
from accounts.quotas.top_ups import top_up

BATCH: Final = 200  # users of a transaction: as many advisory locks

# As `balance.APPLYING`, for many users, without shared quotas.
_RAISE: Final = f"""
WITH me AS (
    SELECT u.id, COALESCE(u.plan_id, d.id) AS plan_id, COALESCE(p.time_zone, d.time_zone, 'UTC') AS zone
    FROM accounts_user u LEFT JOIN accounts_plan p ON p.id = u.plan_id LEFT JOIN accounts_plan d ON d.is_default
    WHERE u.id = ANY(%(users)s)
), nearest AS (
    SELECT DISTINCT ON (me.id, q.model, q.unit, q.period) me.id AS user_id, q.id, q.unit, q.period, q."limit",
        q.starts_at, zone
    FROM me JOIN accounts_quota q ON NOT q.shared AND (q.user_id = me.id OR q.plan_id = me.plan_id
        OR q.group_id IN (SELECT g.group_id FROM accounts_user_groups g WHERE g.user_id = me.id))
    ORDER BY me.id, q.model, q.unit, q.period, q.user_id IS NULL, q.group_id IS NULL, q.hard, q."limit" DESC
), applying AS (
    SELECT user_id, id, unit, "limit", {PERIOD}
    FROM nearest, statement_timestamp() AS at WHERE period <> 'fixed' OR starts_at <= at
), amounts AS (
    SELECT user_id, id AS quota_id, starts_at, ends_at,
        CASE unit WHEN 'money' THEN ceil("limit" * %(percent)s * 10000000) / 1000000000
            ELSE ceil("limit" * %(percent)s / 100) END AS amount
    FROM applying
), made AS (
    INSERT INTO accounts_allowance AS a (user_id, quota_id, starts_at, ends_at, used, reserved, extra)
    SELECT user_id, quota_id, starts_at, ends_at, 0, 0, amount FROM amounts WHERE amount > 0
    ON CONFLICT (user_id, quota_id, starts_at) DO UPDATE SET extra = a.extra + EXCLUDED.extra
    RETURNING a.id, a.user_id, a.quota_id, a.xmax = 0 AS fresh
)
SELECT made.id, made.user_id, made.quota_id, made.fresh, amounts.amount
FROM made JOIN amounts USING (user_id, quota_id)
"""  # noqa: S608 -- constants


@dataclass(frozen=True, slots=True)
class Raised:
    """How many users got more, of how many quotas together; and how many shared quotas of groups."""

    users: int
    quotas: int
    shared: int


def raise_quotas(
    users: Sequence[uuid.UUID], percent: int, *, groups: Iterable[int] = (), by: uuid.UUID | None, reason: str
) -> Raised:
    """Adds `percent` of the limit to each quota of the users in its current period, as top-ups; and to the shared
    quotas of `groups`, once each. Whole numbers are rounded up. `BATCH` users are done or not done together.
    """
    raised_users: set[uuid.UUID] = set()
    count = 0
    ordered = sorted(users)
    for begin in range(0, len(ordered), BATCH):
        made = _raise_batch(ordered[begin : begin + BATCH], percent, by=by, reason=reason)
        raised_users.update(one.user_id for one in made if one.user_id)
        count += len(made)
    shared = 0
    for quota in Quota.objects.filter(shared=True, group__in=list(groups)):
        if (amount := share_of(quota.limit, percent, quota.unit)) > 0:
            top_up(None, quota.pk, amount, by=by, reason=reason)
            shared += 1
    return Raised(len(raised_users), count, shared)


def _raise_batch(users: Sequence[uuid.UUID], percent: int, *, by: uuid.UUID | None, reason: str) -> list[TopUp]:
    with transaction.atomic():
        lock_ledger_for_many(users)
        with connection.cursor() as cursor:
            cursor.execute(_RAISE, {"users": list(users), "percent": percent})
            rows = cursor.fetchall()
        add_recorded_usage([allowance for allowance, _user, _quota, fresh, _amount in rows if fresh])
        return TopUp.objects.bulk_create(
            TopUp(user_id=user, quota_id=quota, amount=amount, allowance_id=allowance, by_id=by, reason=reason)
            for allowance, user, quota, _fresh, amount in rows
        )


def share_of(limit: Decimal, percent: int, unit: str) -> Decimal:
    """`percent` of a limit, rounded up: to whole numbers, of money to the smallest amount there is."""
    return (limit * percent / 100).quantize(NANO if unit == Unit.MONEY else Decimal(1), ROUND_UP)
