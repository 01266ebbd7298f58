"""Balances: which quotas apply to a user, in which periods, and what is used, reserved and remaining of each.

An allowance belongs to a user, or to a group with a shared quota (then `user_id` is null). Other modules build their
statements from the SQL here; comments name the aliases that it expects.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import Unit

NEAR: Final = Decimal("0.8")  # of a limit; from here on the user is notified
_GROUP_LOCKS: Final = 0x71756F74  # "quot": the first key of groups' advisory locks; the group's id is the second


def _first(local: str) -> str:
    """SQL for the first moment with a local time.

    Where clocks go back at 01:00, midnight comes twice, and PostgreSQL by itself takes the second.
    """
    return f"""(SELECT CASE WHEN (t - interval '1 hour') AT TIME ZONE zone = {local} THEN t - interval '1 hour'
            ELSE t END
        FROM (SELECT {local} AT TIME ZONE zone AS t) AS moment)"""  # noqa: S608 -- constants


# Periods of the calendar, with changes of the clocks taken into account.
_LOCAL: Final = "date_trunc(period, at AT TIME ZONE zone)"
PERIOD: Final = f"""
    CASE period WHEN 'fixed' THEN starts_at WHEN 'hour' THEN date_trunc('hour', at, zone)
        ELSE {_first(_LOCAL)} END AS starts_at,
    CASE period WHEN 'fixed' THEN NULL WHEN 'hour' THEN date_trunc('hour', at, zone) + interval '1 hour'
        ELSE {_first(f"({_LOCAL} + ('1 ' || period)::interval)")} END AS ends_at
"""

# The quotas that apply to a user, as `applying`. A shared quota applies in addition to personal ones. Its periods use
# the default plan's time zone, so that they are the same for all members of the group.
APPLYING: Final = f"""
me AS (
    SELECT u.id, COALESCE(u.plan_id, d.id) AS plan_id, COALESCE(p.time_zone, d.time_zone, 'UTC') AS zone,
        COALESCE(d.time_zone, 'UTC') AS shared_zone
    FROM accounts_user u LEFT JOIN accounts_plan p ON p.id = u.plan_id LEFT JOIN accounts_plan d ON d.is_default
    WHERE u.id = %(user)s
), nearest AS (
    SELECT DISTINCT ON (q.model, q.unit, q.period, CASE WHEN q.shared THEN q.group_id END) q.id, q.model, q.unit,
        q.period, q."limit", q.hard, q.starts_at, q.shared, q.group_id,
        CASE WHEN q.shared THEN shared_zone ELSE zone END AS zone
    FROM me JOIN accounts_quota q ON q.user_id = me.id OR q.plan_id = me.plan_id
        OR q.group_id IN (SELECT g.group_id FROM accounts_user_groups g WHERE g.user_id = me.id)
    ORDER BY q.model, q.unit, q.period, CASE WHEN q.shared THEN q.group_id END,
        q.user_id IS NULL, q.group_id IS NULL, q.hard, q."limit" DESC
), applying AS (
    SELECT id, model, unit, period, "limit", hard, group_id, shared,
        CASE WHEN NOT shared THEN %(user)s::uuid END AS user_id, {PERIOD}
    FROM nearest, statement_timestamp() AS at WHERE period <> 'fixed' OR starts_at <= at
)
"""  # noqa: S608 -- constants
_SHARED: Final = f"""
applying AS (
    SELECT q.id, model, unit, period, "limit", hard, group_id, shared, NULL::uuid AS user_id, {PERIOD}
    FROM accounts_quota q, statement_timestamp() AS at,
        COALESCE((SELECT time_zone FROM accounts_plan WHERE is_default), 'UTC') AS zone
    WHERE shared AND (q.id = %(quota)s OR group_id = %(group)s) AND (period <> 'fixed' OR starts_at <= at)
)
"""  # noqa: S608 -- constants

# How much an entry (alias `e`) counts in a quota (alias `q`).
AMOUNT: Final = """CASE q.unit WHEN 'messages' THEN e.messages WHEN 'input_tokens' THEN e.input_tokens
    WHEN 'output_tokens' THEN e.output_tokens WHEN 'money' THEN COALESCE(e.cost, 0)
    WHEN 'audio_seconds' THEN e.audio_seconds END"""


def _within(a: str) -> str:
    """SQL: whether an entry (alias `e`) is in the period and of the model of an allowance (alias `a`, quota `q`)."""
    return f"e.at >= {a}.starts_at AND ({a}.ends_at IS NULL OR e.at < {a}.ends_at) AND q.model IN ('', e.model)"


def _sum(a: str) -> str:
    """SQL: the sum of all entries for an allowance (alias `a`) of a quota (alias `q`). Each half uses an index."""
    return f"""(SELECT COALESCE(sum(amount), 0) FROM (
        SELECT {AMOUNT} AS amount FROM accounts_usageentry e WHERE e.user_id = {a}.user_id AND {_within(a)}
        UNION ALL
        SELECT {AMOUNT} FROM accounts_usageentry e
        WHERE {a}.user_id IS NULL AND q.group_id = ANY(e.groups) AND {_within(a)}
    ) counted)"""  # noqa: S608 -- constants


# Whether an entry (alias `e`) counts in an allowance (alias `a`) of a quota (alias `q`). A shared quota counts the
# entries of users who were in the group when the entry was recorded.
COUNTS: Final = f"{_within('a')} AND (a.user_id = e.user_id OR a.user_id IS NULL AND q.group_id = ANY(e.groups))"
SUM: Final = _sum("a")

# A user without requests in a period has no allowance for it yet, but the ledger may have usage.
_BALANCES: Final = f"""
SELECT q.id, q.model, q.unit, q.period, q."limit", q.hard, q.ends_at, COALESCE(found.used, {_sum("q")}),
    COALESCE(found.reserved, 0), COALESCE(found.extra, 0), COALESCE(g.name, ''), q.starts_at, q.user_id
FROM applying q LEFT JOIN auth_group g ON q.shared AND g.id = q.group_id
LEFT JOIN LATERAL (
    SELECT used, reserved, extra FROM accounts_allowance a
    WHERE a.user_id = q.user_id AND a.quota_id = q.id AND a.starts_at = q.starts_at
    UNION ALL
    SELECT used, reserved, extra FROM accounts_allowance a
    WHERE q.shared AND a.user_id IS NULL AND a.quota_id = q.id AND a.starts_at = q.starts_at
) found ON true
ORDER BY q.unit, q.period, q.model, q.shared, q.id
"""  # noqa: S608 -- constants
USER_BALANCES: Final = f"WITH {APPLYING} {_BALANCES}"
SHARED_BALANCES: Final = f"WITH {_SHARED} {_BALANCES}"

_ADD_RECORDED_USAGE: Final = f"""
UPDATE accounts_allowance a SET used = {SUM}
FROM accounts_quota q WHERE q.id = a.quota_id AND a.id = ANY(%s) RETURNING a.id, a.used
"""  # noqa: S608 -- constants

_LOCK_SHARED: Final = """
WITH mine AS MATERIALIZED (SELECT group_id FROM accounts_user_groups WHERE user_id = %(user)s ORDER BY group_id),
locked AS MATERIALIZED (
    SELECT group_id, pg_advisory_xact_lock_shared(%(class)s, group_id) FROM mine
)
SELECT ARRAY(SELECT group_id FROM locked), pg_advisory_xact_lock_shared(%(key)s)
"""
# The same, for statements in the same round trip: until the transaction ends they find the groups in a setting.
LOCK_LEDGER: Final = PreparedStatement(
    _LOCK_SHARED.replace(
        "SELECT ARRAY(SELECT group_id FROM locked)",
        "SELECT set_config('antiphon.groups', ARRAY(SELECT group_id FROM locked)::text, true)",
    ),
    {"user": "uuid", "class": "int", "key": "bigint"},
)
LOCKED_GROUPS: Final = "current_setting('antiphon.groups')::int[]"


@dataclass(frozen=True, slots=True)
class Balance:
    """The balance of one quota. `limit` includes top-ups, and `ends_at` is None if the period does not renew.

    `shared_by` is the name of the group that shares the quota, or empty for a personal quota.
    """

    quota_id: int
    model: str
    unit: str
    period: str
    limit: Decimal
    hard: bool
    ends_at: datetime | None
    used: Decimal
    reserved: Decimal
    shared_by: str = ""

    @property
    def remaining(self) -> Decimal:
        """What is neither used nor reserved; never negative."""
        return max(self.limit - self.used - self.reserved, Decimal(0))

    @property
    def is_near_limit(self) -> bool:
        """Whether the share `NEAR` of the limit, or more, is used or reserved."""
        return self.used + self.reserved >= NEAR * self.limit

    @property
    def seconds_until_reset(self) -> float | None:
        """Seconds until the period renews, by the database's clock, which periods follow. None if it does not renew."""
        if self.ends_at is None:
            return None
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXTRACT(EPOCH FROM %s - clock_timestamp())::float", [self.ends_at])
            return max(float(cursor.fetchone()[0]), 1.0)

    def frame(self) -> dict[str, Any]:
        """The balance as an entry of the `quota` frame: money is a string, other amounts are numbers."""
        shown: Any = _exact if self.unit == Unit.MONEY else _number
        return {
            "unit": self.unit,
            "period": self.period,
            "model": self.model or None,
            "limit": shown(self.limit),
            "used": shown(self.used),
            "left": shown(self.remaining),
            "hard": self.hard,
            "near": self.is_near_limit,
            "renews_at": self.ends_at.isoformat() if self.ends_at else None,
            "shared_by": self.shared_by or None,
        }


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == int(amount) else float(amount)


def _exact(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def balance_from_row(row: Sequence[Any]) -> Balance:
    """A balance from the first eleven columns of `USER_BALANCES`."""
    quota_id, model, unit, period, limit, hard, ends_at, used, reserved, extra, shared_by = row
    return Balance(quota_id, model, unit, period, limit + extra, hard, ends_at, used, reserved, shared_by)


def user_balances(user_id: uuid.UUID) -> list[Balance]:
    """The current balance of every quota that applies to a user. For staff the quotas do not refuse anything."""
    with connection.cursor() as cursor:
        cursor.execute(USER_BALANCES, {"user": user_id})
        return [balance_from_row(row[:11]) for row in cursor.fetchall()]


def shared_balances(group_id: int) -> list[Balance]:
    """The current balance of every quota that a group shares."""
    with connection.cursor() as cursor:
        cursor.execute(SHARED_BALANCES, {"quota": None, "group": group_id})
        return [balance_from_row(row[:11]) for row in cursor.fetchall()]


# --- new allowances ---------------------------------------------------------------------------------------------------
# A new allowance starts with the usage that the ledger already has of its period, because a quota may be newer than its
# period. Meanwhile no entry may be written that the sum misses and that misses the allowance. So writers of entries
# take shared locks of the user and the user's groups, and writers of allowances take exclusive locks of the user and of
# the groups with shared quotas. Both take them in the same order and before any row lock, so they cannot deadlock.


def lock_ledger_for_entry(user_id: uuid.UUID) -> list[int]:
    """Takes the locks for writing a usage entry. Returns the ids of the user's groups."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_SHARED, ledger_lock(user_id))
        groups: list[int] = cursor.fetchone()[0]
    return groups


def ledger_lock(user_id: uuid.UUID) -> dict[str, Any]:
    """The values of `LOCK_LEDGER`."""
    return {"user": user_id, "class": _GROUP_LOCKS, "key": _key(user_id)}


def lock_ledger_for_allowances(user_id: uuid.UUID | None, group_ids: Iterable[int | None]) -> None:
    """Takes the locks for creating allowances. Call it before any allowance is read or written."""
    with connection.cursor() as cursor:
        for group_id in sorted({one for one in group_ids if one is not None}):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_GROUP_LOCKS, group_id])
        if user_id is not None:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_key(user_id)])


def lock_ledger_for_many(user_ids: Iterable[uuid.UUID]) -> None:
    """Takes the locks for creating allowances of these users' own quotas, in an order that all callers keep."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) key", [sorted(map(_key, user_ids))])


def add_recorded_usage(fresh: Sequence[int]) -> dict[int, Decimal]:
    """Adds the ledger's usage to new allowances and returns it by their ids. Needs `lock_ledger_for_allowances`."""
    if not fresh:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_ADD_RECORDED_USAGE, [list(fresh)])
        return dict(cursor.fetchall())


def _key(user_id: uuid.UUID) -> int:
    return int.from_bytes(user_id.bytes[-8:], "big", signed=True)
