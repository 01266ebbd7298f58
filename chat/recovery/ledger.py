"""Checks the quota accounts: every reservation belongs to something under way, and every sum is that of its rows.

Each check is one statement, so it sees one moment. What belongs together is changed in one transaction, so the checks
are correct on a busy system, too.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import connection, transaction

from accounts.quotas.balance import SUM

_ORPHANS: Final = """
SELECT r.id FROM accounts_reservation r LEFT JOIN chat_run ON chat_run.id = r.run_id
LEFT JOIN chat_recording ON chat_recording.id = r.recording_id
WHERE CASE WHEN r.run_id IS NULL THEN chat_recording.id IS NULL OR chat_recording.finished_at IS NOT NULL
    ELSE chat_run.status IS NULL OR chat_run.status NOT IN ('waiting', 'queued', 'running') END
"""
_FREE: Final = f"""
WITH freed AS (
    DELETE FROM accounts_reservation WHERE id IN ({_ORPHANS}) RETURNING allowance_id, amount
), sums AS (
    SELECT allowance_id, sum(amount) AS amount, count(*) AS number FROM freed GROUP BY allowance_id
), concerned AS (
    SELECT a.id FROM accounts_allowance a JOIN sums ON sums.allowance_id = a.id
    ORDER BY a.quota_id, a.starts_at FOR UPDATE OF a
), given AS (
    UPDATE accounts_allowance a SET reserved = a.reserved - sums.amount
    FROM concerned, sums WHERE a.id = concerned.id AND sums.allowance_id = a.id
)
SELECT COALESCE(sum(number), 0) FROM sums
"""  # noqa: S608 -- constants
_RESERVED: Final = """
SELECT a.id, COALESCE(sum(r.amount), 0) AS right_one FROM accounts_allowance a
LEFT JOIN accounts_reservation r ON r.allowance_id = a.id GROUP BY a.id
HAVING a.reserved <> COALESCE(sum(r.amount), 0)
"""
_USED: Final = f"""
SELECT a.id, counted.right_one FROM accounts_allowance a JOIN accounts_quota q ON q.id = a.quota_id
CROSS JOIN LATERAL (SELECT {SUM} AS right_one) counted WHERE a.used <> counted.right_one
"""  # noqa: S608 -- constants
_EXTRA: Final = """
SELECT a.id, COALESCE(sum(t.amount), 0) AS right_one FROM accounts_allowance a
LEFT JOIN accounts_topup t ON t.allowance_id = a.id GROUP BY a.id HAVING a.extra <> COALESCE(sum(t.amount), 0)
"""
_SUMS: Final = (
    "messages",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_seconds",
    "cost",
    "unpriced",
    "estimated",
)
_DAYS: Final = """
SELECT (at AT TIME ZONE 'UTC')::date AS day, user_id, model, endpoint, sum(messages) AS messages,
    sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens, sum(audio_seconds) AS audio_seconds, COALESCE(sum(cost), 0) AS cost,
    count(*) FILTER (WHERE cost IS NULL) AS unpriced, count(*) FILTER (WHERE estimated) AS estimated
FROM accounts_usageentry GROUP BY 1, 2, 3, 4
"""
_WRONG_DAYS: Final = f"""
SELECT COALESCE(d.day, s.day), d.id FROM ({_DAYS}) s FULL JOIN accounts_dailyusage d
    ON d.day = s.day AND COALESCE(d.user_id, '{"0" * 32}') = COALESCE(s.user_id, '{"0" * 32}')
    AND d.model = s.model AND d.endpoint = s.endpoint
WHERE ({", ".join(f"d.{name}" for name in _SUMS)}) IS DISTINCT FROM ({", ".join(f"s.{name}" for name in _SUMS)})
"""  # noqa: S608 -- constants
_SET: Final = "UPDATE accounts_allowance a SET {} = found.right_one FROM ({}) found WHERE found.id = a.id"


def check_ledger(*, repair: bool = False) -> list[str]:
    """A sentence for each kind of error; none if all sums are right. `repair` corrects them from the rows."""
    with transaction.atomic(), connection.cursor() as cursor:
        if repair:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            cursor.execute(
                "LOCK TABLE accounts_allowance, accounts_reservation, accounts_usageentry, accounts_dailyusage,"
                " accounts_topup IN SHARE ROW EXCLUSIVE MODE"
            )
        wrong = []
        if orphans := _rows(cursor, _ORPHANS):
            wrong.append(f"{len(orphans)} reservations without a run or recording under way")
            if repair:
                cursor.execute("DELETE FROM accounts_reservation WHERE id = ANY(%s)", [[row[0] for row in orphans]])
        for column, query in (("reserved", _RESERVED), ("used", _USED), ("extra", _EXTRA)):
            if rows := _rows(cursor, query):
                wrong.append(f"{len(rows)} allowances whose {column!r} is not the sum of its rows")
                if repair:
                    cursor.execute(_SET.format(column, query))
        if days := _rows(cursor, _WRONG_DAYS):
            wrong.append(f"{len(days)} rows of daily usage that are not the sum of their entries")
            if repair:
                _rebuild(cursor, days)
    return wrong


def free_orphans() -> int:
    """Frees reservations of runs and recordings that have ended or no longer exist, such as those of deleted users;
    returns how many. A run or recording that ends normally has freed its own already.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FREE)
        return int(cursor.fetchone()[0])


def _rows(cursor: Any, query: str) -> list[Any]:
    cursor.execute(query)
    return list(cursor.fetchall())


def _rebuild(cursor: Any, days: list[Any]) -> None:
    wanted = [list({row[0] for row in days})]
    cursor.execute("DELETE FROM accounts_dailyusage WHERE day = ANY(%s)", wanted)
    columns = ", ".join(("day", "user_id", "model", "endpoint", *_SUMS))
    cursor.execute(
        f"INSERT INTO accounts_dailyusage ({columns}) SELECT {columns} FROM ({_DAYS}) s WHERE day = ANY(%s)",  # noqa: S608 -- constants
        wanted,
    )
