"""Quotas: what a person may still use. Reserved when a turn is admitted, settled when its run ends (`accounts.usage`).

`reserve` is one statement of the turn's own transaction. It adds to every allowance that applies and looks at the sums
afterwards: the rows are locked until the transaction ends, so parallel turns are counted one after the other and
those for which there is no room roll back. A message needs room for one; of tokens and money nobody knows how much an
answer takes, so there must be something left, and what the settings guess is held back until the answer has ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from accounts.plans import Quota, TopUp, Unit

NEAR: Final = Decimal("0.8")  # of a limit: from here on the person is told

# Whether a user (alias `u`) has quotas at all that hold them: a part of other statements.
METERED: Final = """(NOT u.is_staff AND EXISTS (SELECT FROM accounts_quota q WHERE q.user_id = u.id
    OR q.plan_id = COALESCE(u.plan_id, (SELECT p.id FROM accounts_plan p WHERE p.is_default))
    OR q.group_id IN (SELECT g.group_id FROM accounts_user_groups g WHERE g.user_id = u.id)))"""

# Periods by the database's calendar: date_trunc with a zone knows where clocks are put forward and back.
_APPLYING: Final = """
me AS (
    SELECT u.id, COALESCE(u.plan_id, d.id) AS plan_id, COALESCE(p.time_zone, d.time_zone, 'UTC') AS zone
    FROM accounts_user u LEFT JOIN accounts_plan p ON p.id = u.plan_id LEFT JOIN accounts_plan d ON d.is_default
    WHERE u.id = %(user)s
), nearest AS (
    SELECT DISTINCT ON (q.model, q.unit, q.period) q.id, q.model, q.unit, q.period, q."limit", q.hard, q.starts_at, zone
    FROM me JOIN accounts_quota q ON q.user_id = me.id OR q.plan_id = me.plan_id
        OR q.group_id IN (SELECT g.group_id FROM accounts_user_groups g WHERE g.user_id = me.id)
    ORDER BY q.model, q.unit, q.period, q.user_id IS NULL, q.group_id IS NULL, q.hard, q."limit" DESC
), applying AS (
    SELECT id, model, unit, period, "limit", hard,
        CASE WHEN period = 'fixed' THEN starts_at ELSE date_trunc(period, at, zone) END AS starts_at,
        CASE period WHEN 'fixed' THEN NULL WHEN 'hour' THEN date_trunc('hour', at, zone) + interval '1 hour'
            ELSE (date_trunc(period, at AT TIME ZONE zone) + ('1 ' || period)::interval) AT TIME ZONE zone
        END AS ends_at
    FROM nearest, statement_timestamp() AS at WHERE period <> 'fixed' OR starts_at <= at
)
"""

_RESERVE: Final = f"""
WITH {_APPLYING}, wanted AS (
    SELECT *, CASE unit
        WHEN 'messages' THEN 1
        WHEN 'input_tokens' THEN %(input)s
        WHEN 'output_tokens' THEN %(output)s
        WHEN 'money' THEN COALESCE(round((SELECT (%(input)s * input_per_million + %(output)s * output_per_million) / 1e6
            FROM accounts_price WHERE model IN ('', %(model)s) AND valid_from <= statement_timestamp()
            ORDER BY model DESC, endpoint DESC, valid_from DESC LIMIT 1), 9), -1)
        END::numeric AS amount
    FROM applying WHERE unit <> 'audio_seconds' AND model IN ('', %(model)s)
), taken AS (
    INSERT INTO accounts_allowance AS a (user_id, quota_id, starts_at, ends_at, used, reserved, extra)
    SELECT %(user)s, id, starts_at, ends_at, 0, GREATEST(amount, 0), 0 FROM wanted ORDER BY id, starts_at
    ON CONFLICT (user_id, quota_id, starts_at) DO UPDATE SET reserved = a.reserved + EXCLUDED.reserved
    RETURNING a.*, a.xmax = 0 AS fresh
), held AS (
    INSERT INTO accounts_reservation (run_id, allowance_id, amount)
    SELECT %(run)s, taken.id, GREATEST(wanted.amount, 0) FROM taken JOIN wanted ON wanted.id = taken.quota_id
)
SELECT wanted.id, wanted.model, unit, period, "limit", hard, wanted.ends_at, used, reserved, extra,
    taken.id, fresh, amount
FROM taken JOIN wanted ON wanted.id = taken.quota_id ORDER BY wanted.id
"""  # noqa: S608 -- constants

# What an entry (alias `e`) counts in a quota (alias `q`).
AMOUNT: Final = """CASE q.unit WHEN 'messages' THEN e.messages WHEN 'input_tokens' THEN e.input_tokens
    WHEN 'output_tokens' THEN e.output_tokens WHEN 'money' THEN COALESCE(e.cost, 0)
    WHEN 'audio_seconds' THEN e.audio_seconds END"""
# Whether an entry (alias `e`) is one of those that an allowance (alias `a`) of a quota (alias `q`) adds up.
COUNTS: Final = """e.user_id = a.user_id AND e.at >= a.starts_at AND (a.ends_at IS NULL OR e.at < a.ends_at)
    AND q.model IN ('', e.model)"""

# Who has not asked since a period began has no allowance of it yet; the ledger may know of use all the same.
_LEFT: Final = f"""
WITH {_APPLYING}
SELECT q.id, q.model, q.unit, q.period, q."limit", q.hard, q.ends_at,
    COALESCE(a.used, (SELECT sum({AMOUNT}) FROM accounts_usageentry e WHERE e.user_id = %(user)s
        AND e.at >= q.starts_at AND (q.ends_at IS NULL OR e.at < q.ends_at) AND q.model IN ('', e.model)), 0),
    COALESCE(a.reserved, 0), COALESCE(a.extra, 0), a.id, a.id IS NULL, q.starts_at
FROM applying q LEFT JOIN accounts_allowance a
    ON a.user_id = %(user)s AND a.quota_id = q.id AND a.starts_at = q.starts_at
ORDER BY q.unit, q.period, q.model, q.id
"""  # noqa: S608 -- constants

_FILL: Final = f"""
UPDATE accounts_allowance a SET used = COALESCE((SELECT sum({AMOUNT}) FROM accounts_usageentry e WHERE {COUNTS}), 0)
FROM accounts_quota q WHERE q.id = a.quota_id AND a.id = ANY(%s) RETURNING a.id, a.used
"""  # noqa: S608 -- constants

_TOP_UP: Final = """
INSERT INTO accounts_allowance AS a (user_id, quota_id, starts_at, ends_at, used, reserved, extra)
VALUES (%s, %s, %s, %s, 0, 0, %s)
ON CONFLICT (user_id, quota_id, starts_at) DO UPDATE SET extra = a.extra + EXCLUDED.extra
RETURNING a.id, a.xmax = 0
"""

_WORDS: Final = {
    Unit.MESSAGES.value: "messages",
    Unit.INPUT_TOKENS.value: "tokens of input",
    Unit.OUTPUT_TOKENS.value: "tokens of output",
    Unit.MONEY.value: "of spending",
    Unit.AUDIO_SECONDS.value: "seconds of speech",
}
_WHEN: Final = {"hour": "this hour", "day": "today", "week": "this week", "month": "this month", "fixed": "in all"}


@dataclass(frozen=True, slots=True)
class Left:
    """One quota as it stands for one person. `limit` includes top-ups; `ends_at` is None where nothing renews."""

    quota_id: int
    model: str
    unit: str
    period: str
    limit: Decimal
    hard: bool
    ends_at: datetime | None
    used: Decimal
    reserved: Decimal

    @property
    def left(self) -> Decimal:
        return max(self.limit - self.used - self.reserved, Decimal(0))

    @property
    def near(self) -> bool:
        return self.used + self.reserved >= NEAR * self.limit

    @property
    def seconds(self) -> float | None:
        """Until it renews; None when it does not."""
        return max((self.ends_at - datetime.now(UTC)).total_seconds(), 1.0) if self.ends_at else None

    def frame(self) -> dict[str, Any]:
        """As the `quota` frame has it: messages, tokens and seconds as numbers, money as a string."""
        shown: Any = _exact if self.unit == Unit.MONEY else _number
        return {
            "unit": self.unit,
            "period": self.period,
            "model": self.model or None,
            "limit": shown(self.limit),
            "used": shown(self.used),
            "left": shown(self.left),
            "hard": self.hard,
            "near": self.near,
            "renews_at": self.ends_at.isoformat() if self.ends_at else None,
        }


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == int(amount) else float(amount)


def _exact(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


class QuotaFull(Exception):
    """A hard quota has no room. The argument is a sentence for the person; `retry_after` is seconds, or None."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


def advisory_key(user_id: uuid.UUID) -> int:
    """Of the lock under which a user's new allowance is filled from the ledger, while no entry is being written."""
    return int.from_bytes(user_id.bytes[-8:], "big", signed=True)


def reserve(user_id: uuid.UUID, run_id: uuid.UUID, model: str, *, text: str) -> None:
    """Holds back what a run may use. Raises `QuotaFull`; then the caller's transaction must roll back."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RESERVE,
            {
                "user": user_id,
                "run": run_id,
                "model": model,
                "input": max(settings.QUOTA_INPUT_TOKENS, len(text) // 4),
                "output": settings.QUOTA_OUTPUT_TOKENS,
            },
        )
        rows = cursor.fetchall()
    filled = _fill(user_id, [row[10] for row in rows if row[11]])
    for row in rows:
        amount = row[12]
        left = _left((*row[:7], filled.get(row[10], row[7]), *row[8:10]))
        if not left.hard:
            continue
        if left.unit == Unit.MONEY and amount < 0:
            raise QuotaFull("This model has no price yet, so your spending limit does not allow it.", None)
        before = left.used + left.reserved - max(amount, Decimal(0))
        if before + (1 if left.unit == Unit.MESSAGES else 0) > left.limit or before >= left.limit:
            raise QuotaFull(_sentence(left), left.seconds)


def _fill(user_id: uuid.UUID, fresh: Sequence[int]) -> dict[int, Decimal]:
    """New allowances begin with what the ledger has of their period: a quota may be newer than its period."""
    if not fresh:
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_key(user_id)])
        cursor.execute(_FILL, [list(fresh)])
        return dict(cursor.fetchall())


def _left(row: Sequence[Any]) -> Left:
    quota_id, model, unit, period, limit, hard, ends_at, used, reserved, extra = row
    return Left(quota_id, model, unit, period, limit + extra, hard, ends_at, used, reserved)


def _sentence(left: Left) -> str:
    words = "message" if left.unit == Unit.MESSAGES and left.limit == 1 else _WORDS[left.unit]
    what = f"{_exact(left.limit)} {words}" + (f" with {left.model}" if left.model else "")
    return f"You may use {what} {_WHEN[left.period]}, and that is used up."


def quotas_left(user_id: uuid.UUID) -> list[Left]:
    """Every quota that holds for a person, as it stands now. Staff's hold nobody back."""
    with connection.cursor() as cursor:
        cursor.execute(_LEFT, {"user": user_id})
        return [_left(row[:10]) for row in cursor.fetchall()]


def check_audio(user_id: uuid.UUID) -> None:
    """Raises `QuotaFull` when a hard quota of audio seconds is used up. What is being said now is not counted yet."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {METERED} FROM accounts_user u WHERE id = %s", [user_id])  # noqa: S608 -- a constant
        row = cursor.fetchone()
    if not row or not row[0]:
        return
    for left in quotas_left(user_id):
        if left.unit == Unit.AUDIO_SECONDS and left.hard and left.used >= left.limit:
            raise QuotaFull(_sentence(left), left.seconds)


def top_up(
    user_id: uuid.UUID,
    quota_id: int,
    amount: Decimal,
    *,
    by: uuid.UUID | None = None,
    reason: str = "",
    is_reset: bool = False,
) -> TopUp:
    """More of a quota in the period that is running. Two at once both count.

    Raises `django.core.exceptions.ValidationError` for an amount that is none, and `Quota.DoesNotExist` for a quota
    that does not hold for this user.
    """
    made = TopUp(user_id=user_id, quota_id=quota_id, amount=amount, by_id=by, reason=reason, is_reset=is_reset)
    made.clean_fields(exclude=["quota", "user", "by"])
    with transaction.atomic():
        made.allowance_id = _add(user_id, quota_id, amount)
        made.save(force_insert=True)
    return made


def reset(user_id: uuid.UUID, quota_id: int, *, by: uuid.UUID | None = None) -> TopUp | None:
    """Gives back what was used of a quota in the period that is running; None when nothing was."""
    with transaction.atomic():
        allowance = _add(user_id, quota_id, Decimal(0))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT used - COALESCE((SELECT sum(amount) FROM accounts_topup WHERE allowance_id = a.id"
                " AND is_reset), 0) FROM accounts_allowance a WHERE id = %s",
                [allowance],
            )
            [used] = cursor.fetchone()
        return top_up(user_id, quota_id, used, by=by, is_reset=True) if used > 0 else None


def _add(user_id: uuid.UUID, quota_id: int, amount: Decimal) -> int:
    """Adds to the allowance of the running period, and locks it; its id."""
    with connection.cursor() as cursor:
        cursor.execute(_LEFT, {"user": user_id})
        found = next((row for row in cursor.fetchall() if row[0] == quota_id), None)
        if found is None:
            raise Quota.DoesNotExist(f"Quota {quota_id} does not hold for this user.")
        cursor.execute(_TOP_UP, [user_id, quota_id, found[12], found[6], amount])
        allowance, fresh = cursor.fetchone()
    _fill(user_id, [allowance] if fresh else [])
    return int(allowance)
