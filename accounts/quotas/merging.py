"""Moves the ledger of one user to another: usage entries, daily sums, allowances and top-ups."""

from __future__ import annotations

import uuid
from typing import Final

from django.db import connection

from accounts.quotas.balance import SUM, lock_ledger_for_many

# The trigger of the ledger lets entries change their user, and nothing else, while this setting names both users.
_DECLARE: Final = "SELECT set_config('antiphon.merging', %s, true)"
_ENTRIES: Final = """
WITH moved AS (UPDATE accounts_usageentry SET user_id = %(kept)s WHERE user_id = %(merged)s RETURNING at)
SELECT count(*), min(at), max(at) FROM moved
"""
_END: Final = "SELECT set_config('antiphon.merging', '', true)"
_SUMS: Final = (
    "messages", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "audio_seconds", "cost",
    "unpriced", "estimated",
)  # fmt: skip
_DAYS: Final = f"""
WITH gone AS (DELETE FROM accounts_dailyusage WHERE user_id = %(merged)s RETURNING *)
INSERT INTO accounts_dailyusage AS d (day, user_id, model, endpoint, {", ".join(_SUMS)})
SELECT day, %(kept)s, model, endpoint, {", ".join(_SUMS)} FROM gone
ON CONFLICT (day, user_id, model, endpoint) DO UPDATE SET
    {", ".join(f"{name} = d.{name} + EXCLUDED.{name}" for name in _SUMS)}
"""  # noqa: S608 -- constants
# Allowances of quotas that both have; a quota of the merged user's own goes with the account.
_PAIRS: Final = """
(
    SELECT m.id AS old, k.id AS new, m.extra, m.reserved FROM accounts_allowance m
    JOIN accounts_allowance k ON k.user_id = %(kept)s AND k.quota_id = m.quota_id AND k.starts_at = m.starts_at
    WHERE m.user_id = %(merged)s
) p
"""
_REST: Final = "accounts_quota q WHERE t.user_id = %(merged)s AND q.id = t.quota_id AND q.user_id IS NULL"
_ALLOWANCES: Final = f"""
UPDATE accounts_allowance a SET extra = a.extra + p.extra, reserved = a.reserved + p.reserved
FROM {_PAIRS} WHERE a.id = p.new;
UPDATE accounts_topup t SET allowance_id = p.new FROM {_PAIRS} WHERE t.allowance_id = p.old;
UPDATE accounts_reservation r SET allowance_id = p.new FROM {_PAIRS} WHERE r.allowance_id = p.old;
DELETE FROM accounts_allowance a USING {_PAIRS} WHERE a.id = p.old;
UPDATE accounts_allowance t SET user_id = %(kept)s FROM {_REST};
UPDATE accounts_topup t SET user_id = %(kept)s FROM {_REST}
"""  # noqa: S608 -- constants
_COUNT: Final = f"""
UPDATE accounts_allowance a SET used = {SUM} FROM accounts_quota q
WHERE q.id = a.quota_id AND a.user_id = %(kept)s AND (a.ends_at IS NULL OR a.ends_at > %(first)s)
    AND a.starts_at <= %(last)s
"""  # noqa: S608 -- constants


def lock_ledgers(merged_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """No usage of the two is recorded or reserved from now on. Call it before any row is locked."""
    lock_ledger_for_many([merged_id, kept_id])


def merge_ledgers(merged_id: uuid.UUID, kept_id: uuid.UUID) -> int:
    """Moves all usage to `kept_id`, whose quotas then count both. Returns how many entries were moved.

    Call it in the transaction that called `lock_ledgers`. Usage of groups stays where it is: entries name the groups of
    then. Quotas of the merged user's own, and their top-ups, stay and are deleted with the account.
    """
    values = {"merged": merged_id, "kept": kept_id}
    with connection.cursor() as cursor:
        cursor.execute(_DECLARE, [f"{merged_id}>{kept_id}"])
        cursor.execute(_ENTRIES, values)
        number, first, last = cursor.fetchone()
        cursor.execute(_END)
        cursor.execute(_DAYS, values)
        for statement in _ALLOWANCES.split(";"):
            cursor.execute(statement, values)
        if number:
            cursor.execute(_COUNT, {**values, "first": first, "last": last})
    return int(number)
