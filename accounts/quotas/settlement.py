"""Settles runs and recordings: records their usage in the ledger once and releases their reservations.

One statement writes the entry with its cost, adds it to the daily usage and to every allowance in which it counts, and
deletes the reservations. It is part of the transaction that ends the run, so every run that has ended is settled.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from accounts.lib.ids import uuid7
from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.quotas.balance import (
    AMOUNT,
    COUNTS,
    LOCK_LEDGER,
    LOCKED_GROUPS,
    Balance,
    ledger_lock,
    lock_ledger_for_entry,
)

_SETTLE: Final = f"""
WITH price AS (
    SELECT * FROM accounts_price
    WHERE model IN ('', %(model)s) AND endpoint IN ('', %(host)s, %(endpoint)s) AND valid_from <= %(at)s
    ORDER BY model DESC, endpoint DESC, valid_from DESC LIMIT 1
), e AS (
    INSERT INTO accounts_usageentry (id, at, user_id, run_id, recording_id, model, endpoint, messages, input_tokens,
        cached_tokens, output_tokens, reasoning_tokens, audio_seconds, cost, estimated, groups,
        conversation_id, purpose)
    SELECT %(id)s, %(at)s, %(user)s, %(entry_run)s, %(recording)s, %(model)s, %(endpoint)s, %(messages)s, %(input)s,
        %(cached)s, %(output)s, %(reasoning)s, %(audio)s,
        COALESCE(CASE WHEN %(known)s THEN %(reported)s::numeric END,
            (SELECT round(((%(input)s - %(cached)s) * input_per_million
            + %(cached)s * COALESCE(cached_per_million, input_per_million)
            + %(output)s * output_per_million) / 1e6 + %(audio)s * audio_per_minute / 60, 9) FROM price),
            %(reported)s::numeric),
        %(estimated)s, %(groups)s, %(conversation)s, %(purpose)s
    WHERE %(counts)s
    ON CONFLICT DO NOTHING
    RETURNING *
), day AS (
    INSERT INTO accounts_dailyusage AS d (day, user_id, model, endpoint, messages, input_tokens, cached_tokens,
        output_tokens, reasoning_tokens, audio_seconds, cost, unpriced, estimated)
    SELECT (at AT TIME ZONE 'UTC')::date, user_id, model, endpoint, messages, input_tokens, cached_tokens,
        output_tokens, reasoning_tokens, audio_seconds, COALESCE(cost, 0), (cost IS NULL)::int, estimated::int
    FROM e
    ON CONFLICT (day, user_id, model, endpoint) DO UPDATE SET
        messages = d.messages + EXCLUDED.messages, input_tokens = d.input_tokens + EXCLUDED.input_tokens,
        cached_tokens = d.cached_tokens + EXCLUDED.cached_tokens,
        output_tokens = d.output_tokens + EXCLUDED.output_tokens,
        reasoning_tokens = d.reasoning_tokens + EXCLUDED.reasoning_tokens,
        audio_seconds = d.audio_seconds + EXCLUDED.audio_seconds, cost = d.cost + EXCLUDED.cost,
        unpriced = d.unpriced + EXCLUDED.unpriced, estimated = d.estimated + EXCLUDED.estimated
), freed AS (
    DELETE FROM accounts_reservation WHERE run_id = %(run)s OR recording_id = %(recording)s
    RETURNING allowance_id, amount
), counting AS (
    SELECT allowance_id AS id FROM freed
    UNION SELECT a.id FROM accounts_allowance a JOIN accounts_quota q ON q.id = a.quota_id JOIN e ON {COUNTS}
    WHERE a.user_id = %(user)s AND (a.ends_at IS NULL OR a.ends_at > %(at)s)
    UNION SELECT a.id FROM accounts_allowance a JOIN accounts_quota q ON q.id = a.quota_id JOIN e ON {COUNTS}
    WHERE a.user_id IS NULL AND (a.ends_at IS NULL OR a.ends_at > %(at)s)
), concerned AS (
    SELECT a.id FROM accounts_allowance a JOIN counting ON counting.id = a.id
    ORDER BY a.quota_id, a.starts_at FOR UPDATE OF a
), settled AS (
    UPDATE accounts_allowance a SET
        reserved = a.reserved - COALESCE((SELECT amount FROM freed WHERE allowance_id = a.id), 0),
        used = a.used + COALESCE((SELECT {AMOUNT} FROM e WHERE {COUNTS}), 0)
    FROM concerned, accounts_quota q LEFT JOIN auth_group g ON g.id = q.group_id
    WHERE a.id = concerned.id AND q.id = a.quota_id
    RETURNING q.id, q.model, q.unit, q.period, q."limit" + a.extra, q.hard, a.ends_at, a.used, a.reserved,
        CASE WHEN a.user_id IS NULL THEN g.name ELSE '' END, a.starts_at
)
SELECT (SELECT cost FROM e), settled.* FROM (SELECT) one
LEFT JOIN settled ON settled.starts_at <= statement_timestamp()
    AND (settled.ends_at IS NULL OR settled.ends_at > statement_timestamp())
ORDER BY settled.id
"""  # noqa: S608 -- constants

_TYPES: Final = {
    **dict.fromkeys(("id", "user", "run", "entry_run", "recording", "conversation"), "uuid"),
    **dict.fromkeys(("model", "endpoint", "host", "purpose"), "text"),
    **dict.fromkeys(("messages", "input", "cached", "output", "reasoning"), "int"),
    **dict.fromkeys(("counts", "estimated", "known"), "boolean"),
    **dict.fromkeys(("audio", "reported"), "numeric"),
    "at": "timestamptz",
}
# The statements of `settle_run`, to be executed with others in one round trip (`settling`).
SETTLING: Final = (LOCK_LEDGER, PreparedStatement(_SETTLE.replace("%(groups)s", LOCKED_GROUPS), _TYPES))

STEP: Final = "step"  # the purpose of an entry for a part of an answer


@dataclass(frozen=True, slots=True)
class Used:
    """The usage to record. Cached tokens are included in the input, reasoning tokens in the output.

    `reported_cost` is what the provider says that it cost, in USD. It counts where that is the site's currency and
    there is no price.
    """

    model: str
    endpoint: str = ""
    messages: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    estimated: bool = False
    reported_cost: Decimal | None = None
    purpose: str = ""  # empty: an answer or a recording
    cost_is_known: bool = False  # `reported_cost` is what it costs, whatever the prices say


@dataclass(frozen=True, slots=True)
class Settled:
    """The cost (None if the model has no price and none was reported) and the new balances of the quotas concerned."""

    cost: Decimal | None = None
    quotas: list[Balance] = field(default_factory=list)

    @property
    def near(self) -> list[Balance]:
        """The balances that the user should be notified of."""
        return [balance for balance in self.quotas if balance.is_near_limit]


def settle_run(
    user_id: uuid.UUID | None,
    run_id: uuid.UUID,
    at: datetime,
    used: Used | None,
    *,
    conversation_id: uuid.UUID | None = None,
) -> Settled:
    """Records the usage of a run (None: no usage) and releases its reservations.

    Call it in the transaction that ends the run. A second call does nothing.
    """
    return _settle(user_id, at, used, conversation_id, run_id=run_id)


def settle_recording(
    user_id: uuid.UUID | None,
    recording_id: uuid.UUID,
    at: datetime,
    used: Used | None,
    *,
    conversation_id: uuid.UUID | None = None,
) -> Settled:
    """Records the usage of a recording (None: no usage) and releases its reservations.

    Call it in the transaction that ends the recording. A second call does nothing.
    """
    return _settle(user_id, at, used, conversation_id, recording_id=recording_id)


def settle_background(
    user_id: uuid.UUID | None, at: datetime, used: Used, *, purpose: str, conversation_id: uuid.UUID | None = None
) -> Settled:
    """Records the usage of a request that is no answer and has no reservation, such as a title or a summary.

    None as the user: the site pays, and it belongs to no quota.
    """
    return _settle(user_id, at, replace(used, purpose=purpose), conversation_id)


def settle_step(
    user_id: uuid.UUID | None,
    run_id: uuid.UUID,
    at: datetime,
    used: Used,
    *,
    conversation_id: uuid.UUID | None = None,
) -> Settled:
    """Records the usage of a finished part of a run that goes on, and releases what the run has reserved so far: the
    next part reserves for itself (`accounts.quotas.steps`).

    Call it in the transaction that stores the part, once.
    """
    return _settle(user_id, at, replace(used, purpose=STEP), conversation_id, run_id=run_id, goes_on=True)


def host_of(endpoint: str) -> str:
    """The host of an endpoint's name (`host`, `host:port`, `[v6]:port`). A price for it applies to all its ports."""
    host, found, port = endpoint.rpartition(":")
    return host.strip("[]") if found and port.isdecimal() and (":" not in host or host[0] == "[") else endpoint


def _settle(
    user_id: uuid.UUID | None,
    at: datetime,
    used: Used | None,
    conversation_id: uuid.UUID | None,
    *,
    run_id: uuid.UUID | None = None,
    recording_id: uuid.UUID | None = None,
    goes_on: bool = False,
) -> Settled:
    values = _values(user_id, at, used, conversation_id, run_id=run_id, recording_id=recording_id, goes_on=goes_on)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        # An allowance that is being created sums the ledger under these locks and must not miss this entry.
        values["groups"] = lock_ledger_for_entry(user_id) if user_id is not None else []
        cursor.execute(_SETTLE, values)
        return settled_from(cursor.fetchall())


def settling(
    user_id: uuid.UUID, run_id: uuid.UUID, at: datetime, used: Used | None, conversation_id: uuid.UUID
) -> dict[str, Any]:
    """The values of `SETTLING`. The statements do what `settle_run` does; `settled_from` reads the last one's rows."""
    return {**_values(user_id, at, used, conversation_id, run_id=run_id), **ledger_lock(user_id)}


def settled_from(rows: Sequence[Sequence[Any]]) -> Settled:
    """What a settlement has returned."""
    return Settled(rows[0][0], [Balance(*row[1:11]) for row in rows if row[1] is not None])


def _values(
    user_id: uuid.UUID | None,
    at: datetime,
    used: Used | None,
    conversation_id: uuid.UUID | None,
    *,
    run_id: uuid.UUID | None = None,
    recording_id: uuid.UUID | None = None,
    goes_on: bool = False,
) -> dict[str, Any]:
    usage = used or Used("")
    return {
        "id": uuid7(),
        "at": at,
        "user": user_id,
        "run": run_id,
        "entry_run": None if goes_on else run_id,
        "recording": recording_id,
        "conversation": conversation_id,
        "counts": used is not None,
        "model": usage.model,
        "endpoint": usage.endpoint,
        "host": host_of(usage.endpoint),
        "messages": usage.messages,
        "input": usage.input_tokens,
        "cached": min(usage.cached_tokens, usage.input_tokens),
        "output": usage.output_tokens,
        "reasoning": usage.reasoning_tokens,
        "audio": usage.audio_seconds,
        "estimated": usage.estimated,
        "reported": usage.reported_cost if settings.CURRENCY == "USD" else None,
        "purpose": usage.purpose,
        "known": usage.cost_is_known,
    }
