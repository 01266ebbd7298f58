"""Reserves quota when a turn is accepted; `accounts.quotas.settlement` settles it when the run ends.

`reserve` is one statement in the turn's transaction. It adds to every allowance that applies and then checks the sums.
The rows stay locked until the transaction ends, so parallel turns are counted one after the other, and those beyond the
limit roll back. A message needs room for one message. The tokens and cost of an answer are not known in advance, so
something must remain, and the amounts of the settings stay reserved until the answer ends. A recording reserves what
remains of the seconds of speech, up to its maximum length, so it never exceeds the quota (`reserve_audio`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import Unit
from accounts.quotas.balance import APPLYING, Balance, add_recorded_usage, balance_from_row, lock_ledger_for_allowances
from accounts.quotas.wording import used_up_message

# SQL: whether any quota applies to a user (alias `u`).
METERED: Final = """(NOT u.is_staff AND EXISTS (SELECT FROM accounts_quota q WHERE q.user_id = u.id
    OR q.plan_id = COALESCE(u.plan_id, (SELECT p.id FROM accounts_plan p WHERE p.is_default))
    OR q.group_id IN (SELECT g.group_id FROM accounts_user_groups g WHERE g.user_id = u.id)))"""

# If an allowance does not exist yet, the statement reserves nothing and reports it. With `creating` it creates the
# allowances of the quotas in `seen`, whose locks are then held. A quota added in between applies from the next call on.
_RESERVE: Final = PreparedStatement(
    f"""
WITH {APPLYING}, wanted AS (
    SELECT *, CASE unit
        WHEN 'messages' THEN %(messages)s
        WHEN 'input_tokens' THEN %(input)s
        WHEN 'output_tokens' THEN %(output)s
        WHEN 'audio_seconds' THEN 0
        WHEN 'money' THEN COALESCE(round((SELECT (%(input)s * input_per_million + %(output)s * output_per_million) / 1e6
            FROM accounts_price WHERE model IN ('', %(model)s) AND valid_from <= statement_timestamp()
            ORDER BY model DESC, endpoint DESC, valid_from DESC LIMIT 1), 9), -1)
        END::numeric AS amount
    FROM applying WHERE CASE WHEN %(run)s::uuid IS NULL THEN unit = 'audio_seconds'
        ELSE unit <> 'audio_seconds' AND model IN ('', %(model)s) END AND (NOT %(creating)s OR id = ANY(%(seen)s))
), missing AS (
    SELECT FROM wanted w WHERE NOT EXISTS (
        SELECT FROM accounts_allowance a
        WHERE a.user_id = w.user_id AND a.quota_id = w.id AND a.starts_at = w.starts_at
    ) AND NOT (w.shared AND EXISTS (
        SELECT FROM accounts_allowance a
        WHERE a.user_id IS NULL AND a.quota_id = w.id AND a.starts_at = w.starts_at
    ))
), changed AS (
    INSERT INTO accounts_allowance AS a (user_id, quota_id, starts_at, ends_at, used, reserved, extra)
    SELECT user_id, id, starts_at, ends_at, 0, GREATEST(amount, 0), 0 FROM wanted
    WHERE %(creating)s OR NOT EXISTS (SELECT FROM missing) ORDER BY id, starts_at
    ON CONFLICT (user_id, quota_id, starts_at) DO UPDATE SET reserved = a.reserved + EXCLUDED.reserved
    RETURNING a.*, a.xmax = 0 AS fresh
), reserved_now AS (
    INSERT INTO accounts_reservation (run_id, recording_id, allowance_id, amount)
    SELECT %(run)s, %(recording)s, changed.id, GREATEST(wanted.amount, 0)
    FROM changed JOIN wanted ON wanted.id = changed.quota_id
)
SELECT wanted.id, wanted.model, unit, period, "limit", hard, wanted.ends_at, used, reserved, extra,
    COALESCE((SELECT name FROM auth_group g WHERE shared AND g.id = group_id), ''), changed.id, fresh, amount,
    group_id
FROM wanted LEFT JOIN changed ON wanted.id = changed.quota_id ORDER BY wanted.id
""",  # noqa: S608 -- constants
    {
        **dict.fromkeys(("user", "run", "recording"), "uuid"),
        **dict.fromkeys(("input", "output", "messages"), "int"),
        "model": "text",
        "creating": "boolean",
        "seen": "bigint[]",
    },
)
PREPARED: Final = (_RESERVE,)  # for `with_prepared`, of the transaction that reserves

# The balances that the runs of several models count in. `id` is NULL where one does not exist yet.
_BALANCES_OF_MODELS: Final = f"""
WITH {APPLYING}
SELECT a.id, w.group_id FROM applying w LEFT JOIN accounts_allowance a ON a.quota_id = w.id
    AND a.starts_at = w.starts_at AND (a.user_id = w.user_id OR w.shared AND a.user_id IS NULL)
WHERE w.unit <> 'audio_seconds' AND w.model = ANY(%(models)s)
"""  # noqa: S608 -- constants
_LOCK_BALANCES: Final = "SELECT FROM accounts_allowance WHERE id = ANY(%s) ORDER BY quota_id, starts_at FOR UPDATE"

# The balances in which a recording has reservations, locked in the order that all statements use.
_RESERVED_BY_RECORDING: Final = """
SELECT q.id, q.model, q.unit, q.period, q."limit", q.hard, a.ends_at, a.used, a.reserved, a.extra,
    CASE WHEN q.shared THEN (SELECT name FROM auth_group g WHERE g.id = q.group_id) ELSE '' END
FROM accounts_reservation r JOIN accounts_allowance a ON a.id = r.allowance_id
JOIN accounts_quota q ON q.id = a.quota_id WHERE r.recording_id = %s ORDER BY a.quota_id, a.starts_at FOR UPDATE OF a
"""
_RESERVE_MORE: Final = """
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
_RELEASE: Final = """
WITH freed AS (
    DELETE FROM accounts_reservation WHERE run_id = %s RETURNING allowance_id, amount
), concerned AS (
    SELECT a.id FROM accounts_allowance a JOIN freed ON freed.allowance_id = a.id
    ORDER BY a.quota_id, a.starts_at FOR UPDATE OF a
)
UPDATE accounts_allowance a SET reserved = a.reserved - freed.amount
FROM concerned, freed WHERE a.id = concerned.id AND freed.allowance_id = a.id
"""


class QuotaFull(Exception):
    """A hard quota is used up. The argument is a sentence for the user; `retry_after` is in seconds, or None."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


def reserve(user_id: uuid.UUID, run_id: uuid.UUID, model: str, *, text: str) -> None:
    """Reserves what a run may use. Raises `QuotaFull`; then the caller's transaction must roll back."""
    for balance, amount in _reserve(user_id, run_id=run_id, model=model, input_tokens=len(text) // 4):
        if not balance.hard:
            continue
        if balance.unit == Unit.MONEY and amount < 0:
            raise QuotaFull(_("This model has no price yet, so your spending limit does not allow it."), None)
        before = balance.used + balance.reserved - max(amount, Decimal(0))
        if before + (1 if balance.unit == Unit.MESSAGES else 0) > balance.limit or before >= balance.limit:
            raise QuotaFull(used_up_message(balance), balance.seconds_until_reset)


def reserve_step(user_id: uuid.UUID, run_id: uuid.UUID, model: str, *, input_tokens: int) -> None:
    """Reserves what a further request of a run may use, in place of what it has reserved. The message itself has
    counted with the first one. Raises `QuotaFull`, and then nothing is reserved for the run any more.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, [run_id])
        cursor.execute(f"SELECT {METERED} FROM accounts_user u WHERE id = %s", [user_id])  # noqa: S608 -- a constant
        row = cursor.fetchone()
    if not row or not row[0]:
        return
    with transaction.atomic():
        for balance, amount in _reserve(user_id, run_id=run_id, model=model, input_tokens=input_tokens, messages=0):
            if not balance.hard or balance.unit == Unit.MESSAGES:
                continue
            if balance.unit == Unit.MONEY and amount < 0:
                raise QuotaFull(_("This model has no price yet, so your spending limit does not allow it."), None)
            if balance.used + balance.reserved - max(amount, Decimal(0)) >= balance.limit:
                raise QuotaFull(used_up_message(balance), balance.seconds_until_reset)


def lock_balances(user_id: uuid.UUID, models: Sequence[str]) -> None:
    """Locks every balance that runs of these models count in, before `reserve` is called for one after the other.

    All statements lock balances in one order. Those of one model after those of another would break it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BALANCES_OF_MODELS, {"user": user_id, "models": ["", *models]})
        rows = cursor.fetchall()
        if any(balance is None for balance, _ in rows):
            lock_ledger_for_allowances(user_id, [group for _, group in rows])
        cursor.execute(_LOCK_BALANCES, [[balance for balance, _ in rows if balance is not None]])


def reserve_audio(user_id: uuid.UUID, recording_id: uuid.UUID, seconds: int) -> None:
    """Reserves what a recording may use: what remains of every hard quota, at most `seconds`.

    Raises `QuotaFull` if nothing remains; then the caller's transaction must roll back.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {METERED} FROM accounts_user u WHERE id = %s", [user_id])  # noqa: S608 -- a constant
        row = cursor.fetchone()
    if row and row[0]:
        _reserve_remaining(
            [balance for balance, _ in _reserve(user_id, recording_id=recording_id)], recording_id, seconds
        )


def reserve_more_audio(recording_id: uuid.UUID, seconds: int) -> Decimal:
    """Reserves at most `seconds` more for a recording in progress. Returns how many. Raises `QuotaFull`."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_RESERVED_BY_RECORDING, [recording_id])
            found = [balance_from_row(row) for row in cursor.fetchall()]
        return _reserve_remaining(found, recording_id, seconds)


def _reserve_remaining(found: Sequence[Balance], recording_id: uuid.UUID, seconds: int) -> Decimal:
    amount = Decimal(seconds)
    for balance in found:
        if balance.hard:
            if balance.remaining <= 0:
                raise QuotaFull(used_up_message(balance), balance.seconds_until_reset)
            amount = min(amount, balance.remaining)
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE_MORE, {"recording": recording_id, "amount": amount})
    return amount


def audio_granted(recording_id: uuid.UUID) -> Decimal | None:
    """The seconds that a recording may last by its hard quotas. None if no hard quota applies."""
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
    messages: int = 1,
) -> list[tuple[Balance, Decimal]]:
    """Reserves in every allowance that applies and creates missing ones. Returns each new balance and reserved amount.

    An amount of -1 means that the model has no price.
    """
    values = {
        "user": user_id,
        "run": run_id,
        "recording": recording_id,
        "model": model,
        "input": max(settings.QUOTA_INPUT_TOKENS, input_tokens),
        "output": settings.QUOTA_OUTPUT_TOKENS,
        "messages": messages,
    }
    used: dict[int, Decimal] = {}
    with connection.cursor() as cursor:
        _RESERVE.execute(cursor, {**values, "creating": False, "seen": []})
        rows = cursor.fetchall()
        if any(row[11] is None for row in rows):
            lock_ledger_for_allowances(user_id, [row[14] for row in rows])
            _RESERVE.execute(cursor, {**values, "creating": True, "seen": [row[0] for row in rows]})
            rows = cursor.fetchall()
            used = add_recorded_usage([row[11] for row in rows if row[12]])
    return [(balance_from_row((*row[:7], used.get(row[11], row[7]), *row[8:11])), row[13]) for row in rows]
