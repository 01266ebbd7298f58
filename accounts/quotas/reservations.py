"""Quotas: what a person may still use. Reserved when a turn is admitted, settled when its run ends (`accounts.usage`).

`reserve` is one statement of the turn's own transaction. It adds to every allowance that applies and looks at the sums
afterwards: the rows are locked until the transaction ends, so parallel turns are counted one after the other and
those for which there is no room roll back. A message needs room for one; of tokens and money nobody knows how much an
answer takes, so there must be something left, and what the settings guess is held back until the answer has ended. Of
seconds of speech a recording gets what is left, as long as it may last, and so never goes beyond (`reserve_audio`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from accounts.plans import Quota, TopUp, Unit
from accounts.standing import APPLYING, LEFT, POTS_LEFT, fill, keep_entries_out, left_from
from accounts.standing import Left as Left
from accounts.standing import quotas_left as quotas_left

# Whether a user (alias `u`) has quotas at all that hold them: a part of other statements.
METERED: Final = """(NOT u.is_staff AND EXISTS (SELECT FROM accounts_quota q WHERE q.user_id = u.id
    OR q.plan_id = COALESCE(u.plan_id, (SELECT p.id FROM accounts_plan p WHERE p.is_default))
    OR q.group_id IN (SELECT g.group_id FROM accounts_user_groups g WHERE g.user_id = u.id)))"""

# Where an allowance does not exist yet, nothing is done but to say so, unless `making`: then of the quotas that were
# seen before and whose locks are held since; one that came meanwhile holds from the next time on.
_RESERVE: Final = f"""
WITH {APPLYING}, wanted AS (
    SELECT *, CASE unit
        WHEN 'messages' THEN 1
        WHEN 'input_tokens' THEN %(input)s
        WHEN 'output_tokens' THEN %(output)s
        WHEN 'audio_seconds' THEN 0
        WHEN 'money' THEN COALESCE(round((SELECT (%(input)s * input_per_million + %(output)s * output_per_million) / 1e6
            FROM accounts_price WHERE model IN ('', %(model)s) AND valid_from <= statement_timestamp()
            ORDER BY model DESC, endpoint DESC, valid_from DESC LIMIT 1), 9), -1)
        END::numeric AS amount
    FROM applying WHERE CASE WHEN %(run)s::uuid IS NULL THEN unit = 'audio_seconds'
        ELSE unit <> 'audio_seconds' AND model IN ('', %(model)s) END AND (NOT %(making)s OR id = ANY(%(seen)s))
), missing AS (
    SELECT FROM wanted w WHERE NOT EXISTS (
        SELECT FROM accounts_allowance a
        WHERE a.user_id = w.user_id AND a.quota_id = w.id AND a.starts_at = w.starts_at
    ) AND NOT (w.shared AND EXISTS (
        SELECT FROM accounts_allowance a
        WHERE a.user_id IS NULL AND a.quota_id = w.id AND a.starts_at = w.starts_at
    ))
), taken AS (
    INSERT INTO accounts_allowance AS a (user_id, quota_id, starts_at, ends_at, used, reserved, extra)
    SELECT user_id, id, starts_at, ends_at, 0, GREATEST(amount, 0), 0 FROM wanted
    WHERE %(making)s OR NOT EXISTS (SELECT FROM missing) ORDER BY id, starts_at
    ON CONFLICT (user_id, quota_id, starts_at) DO UPDATE SET reserved = a.reserved + EXCLUDED.reserved
    RETURNING a.*, a.xmax = 0 AS fresh
), held AS (
    INSERT INTO accounts_reservation (run_id, recording_id, allowance_id, amount)
    SELECT %(run)s, %(recording)s, taken.id, GREATEST(wanted.amount, 0)
    FROM taken JOIN wanted ON wanted.id = taken.quota_id
)
SELECT wanted.id, wanted.model, unit, period, "limit", hard, wanted.ends_at, used, reserved, extra,
    COALESCE((SELECT name FROM auth_group g WHERE shared AND g.id = group_id), ''), taken.id, fresh, amount,
    group_id
FROM wanted LEFT JOIN taken ON wanted.id = taken.quota_id ORDER BY wanted.id
"""  # noqa: S608 -- constants

# What a recording holds already, and what is left of it, locked in the order in which everybody locks.
_HELD: Final = """
SELECT q.id, q.model, q.unit, q.period, q."limit", q.hard, a.ends_at, a.used, a.reserved, a.extra,
    CASE WHEN q.shared THEN (SELECT name FROM auth_group g WHERE g.id = q.group_id) ELSE '' END
FROM accounts_reservation r JOIN accounts_allowance a ON a.id = r.allowance_id
JOIN accounts_quota q ON q.id = a.quota_id WHERE r.recording_id = %s ORDER BY a.quota_id, a.starts_at FOR UPDATE OF a
"""
_HOLD_MORE: Final = """
WITH more AS (
    UPDATE accounts_reservation SET amount = amount + %(amount)s WHERE recording_id = %(recording)s
    RETURNING allowance_id
)
UPDATE accounts_allowance a SET reserved = reserved + %(amount)s FROM more WHERE a.id = more.allowance_id
"""
_GRANTED: Final = """
SELECT min(r.amount) FROM accounts_reservation r JOIN accounts_allowance a ON a.id = r.allowance_id
JOIN accounts_quota q ON q.id = a.quota_id WHERE r.recording_id = %s AND q.hard
"""

_TOP_UP: Final = """
INSERT INTO accounts_allowance AS a (user_id, quota_id, starts_at, ends_at, used, reserved, extra)
VALUES (%s, %s, %s, %s, 0, 0, %s)
ON CONFLICT (user_id, quota_id, starts_at) DO UPDATE SET extra = a.extra + EXCLUDED.extra
RETURNING a.id, a.xmax = 0
"""


class QuotaFull(Exception):
    """A hard quota has no room. The argument is a sentence for the person; `retry_after` is seconds, or None."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


def reserve(user_id: uuid.UUID, run_id: uuid.UUID, model: str, *, text: str) -> None:
    """Holds back what a run may use. Raises `QuotaFull`; then the caller's transaction must roll back."""
    for left, amount in _reserve(user_id, run_id=run_id, model=model, input_tokens=len(text) // 4):
        if not left.hard:
            continue
        if left.unit == Unit.MONEY and amount < 0:
            raise QuotaFull("This model has no price yet, so your spending limit does not allow it.", None)
        before = left.used + left.reserved - max(amount, Decimal(0))
        if before + (1 if left.unit == Unit.MESSAGES else 0) > left.limit or before >= left.limit:
            raise QuotaFull(left.used_up(), left.seconds)


def reserve_audio(user_id: uuid.UUID, recording_id: uuid.UUID, seconds: int) -> None:
    """Holds back what a recording may use: what is left of every hard quota, `seconds` at the most. Raises `QuotaFull`
    where nothing is left; then the caller's transaction must roll back.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {METERED} FROM accounts_user u WHERE id = %s", [user_id])  # noqa: S608 -- a constant
        row = cursor.fetchone()
    if row and row[0]:
        _hold([left for left, _ in _reserve(user_id, recording_id=recording_id)], recording_id, seconds)


def reserve_more_audio(recording_id: uuid.UUID, seconds: int) -> Decimal:
    """Holds back more for a recording that goes on, `seconds` at the most; how much. Raises `QuotaFull`."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_HELD, [recording_id])
            found = [left_from(row) for row in cursor.fetchall()]
        return _hold(found, recording_id, seconds)


def _hold(found: Sequence[Left], recording_id: uuid.UUID, seconds: int) -> Decimal:
    amount = Decimal(seconds)
    for left in found:
        if left.hard:
            if left.left <= 0:
                raise QuotaFull(left.used_up(), left.seconds)
            amount = min(amount, left.left)
    with connection.cursor() as cursor:
        cursor.execute(_HOLD_MORE, {"recording": recording_id, "amount": amount})
    return amount


def audio_granted(recording_id: uuid.UUID) -> Decimal | None:
    """The seconds that hard quotas let a recording last; None where none holds it."""
    with connection.cursor() as cursor:
        cursor.execute(_GRANTED, [recording_id])
        granted: Decimal | None = cursor.fetchone()[0]
    return granted


def _reserve(
    user_id: uuid.UUID,
    *,
    run_id: uuid.UUID | None = None,
    recording_id: uuid.UUID | None = None,
    model: str = "",
    input_tokens: int = 0,
) -> list[tuple[Left, Decimal]]:
    """Reserves in every allowance that applies, and makes those that do not exist yet; how each stands then, and what
    was asked of it (-1: nobody knows, there is no price).
    """
    values = {
        "user": user_id,
        "run": run_id,
        "recording": recording_id,
        "model": model,
        "input": max(settings.QUOTA_INPUT_TOKENS, input_tokens),
        "output": settings.QUOTA_OUTPUT_TOKENS,
    }
    used: dict[int, Decimal] = {}
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, {**values, "making": False, "seen": []})
        rows = cursor.fetchall()
        if any(row[11] is None for row in rows):
            keep_entries_out(user_id, [row[14] for row in rows])
            cursor.execute(_RESERVE, {**values, "making": True, "seen": [row[0] for row in rows]})
            rows = cursor.fetchall()
            used = fill([row[11] for row in rows if row[12]])
    return [(left_from((*row[:7], used.get(row[11], row[7]), *row[8:11])), row[13]) for row in rows]


def top_up(
    user_id: uuid.UUID | None,
    quota_id: int,
    amount: Decimal,
    *,
    by: uuid.UUID | None = None,
    reason: str = "",
    is_reset: bool = False,
) -> TopUp:
    """More of a quota in the period that is running: of a shared one for its pot, and then `user_id` may be any of the
    group, or None. Two at once both count.

    Raises `django.core.exceptions.ValidationError` for an amount that is none, and `Quota.DoesNotExist` for a quota
    that does not hold for this user.
    """
    made = TopUp(quota_id=quota_id, amount=amount, by_id=by, reason=reason, is_reset=is_reset)
    made.clean_fields(exclude=["quota", "user", "by"])
    with transaction.atomic():
        made.allowance_id, made.user_id = _add(user_id, quota_id, amount)
        made.save(force_insert=True)
    return made


def reset(user_id: uuid.UUID | None, quota_id: int, *, by: uuid.UUID | None = None) -> TopUp | None:
    """Gives back what was used of a quota in the period that is running; None when nothing was."""
    with transaction.atomic():
        allowance, _ = _add(user_id, quota_id, Decimal(0))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT used - COALESCE((SELECT sum(amount) FROM accounts_topup WHERE allowance_id = a.id"
                " AND is_reset), 0) FROM accounts_allowance a WHERE id = %s",
                [allowance],
            )
            [used] = cursor.fetchone()
        return top_up(user_id, quota_id, used, by=by, is_reset=True) if used > 0 else None


def _add(user_id: uuid.UUID | None, quota_id: int, amount: Decimal) -> tuple[int, uuid.UUID | None]:
    """Adds to the allowance of the running period, and locks it; its id, and whose it is (None: a pot's)."""
    found = _running(user_id, quota_id)
    keep_entries_out(user_id, Quota.objects.filter(pk=quota_id).values_list("group_id", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_TOP_UP, [found[12], quota_id, found[11], found[6], amount])
        allowance, fresh = cursor.fetchone()
    fill([allowance] if fresh else [])
    return int(allowance), found[12]


def _running(user_id: uuid.UUID | None, quota_id: int) -> Sequence[Any]:
    with connection.cursor() as cursor:
        if user_id is None:
            cursor.execute(POTS_LEFT, {"quota": quota_id, "group": None})
        else:
            cursor.execute(LEFT, {"user": user_id})
        found = next((row for row in cursor.fetchall() if row[0] == quota_id), None)
    if found is None:
        raise Quota.DoesNotExist(f"Quota {quota_id} does not hold for this user.")
    return tuple(found)
