"""Ends a plain answer in one round trip: the statements of `chat.runs.ending.end_run` for the run that nearly every run
is. It has no steps, continues no answer, was not talked over, no moderation concerns it, no webhook wants it, and its
tokens are known.

The statements are executed together, as one transaction. The first one locks the run's row and fails where the run is
not as expected, so that nothing else is executed: then `end_run` ends it, or finds that it belongs to another worker.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from django.db import DataError, connection

from accounts.lib.postgresql.prepared import PreparedStatement, execute_all, rows_of_all
from accounts.quotas.settlement import SETTLING, Used, settled_from, settling
from chat.eventlog.costs import untold_cost
from chat.models import Message, MessageStatus, Run, RunStatus
from chat.runs.context import ClaimedRun
from chat.runs.ending import Ended, Ending, ended_of, wants_ended

_DIVISION_BY_ZERO: Final = "22012"  # SQLSTATE

# Only a row that is locked counts, so the division fails where the run is another's, or not plain.
_HELD: Final = PreparedStatement(
    """
SELECT 1 / count(*) FROM (
    SELECT FROM chat_run WHERE id = %(run)s AND attempt = %(attempt)s AND status = 'running' AND lease_owner = %(owner)s
        AND part = 1 AND latest AND step_count = 0 AND heard_chars IS NULL AND requested_by_id = %(user)s
        AND (reasoning_chars = 0 OR %(thought)s <> '')
    FOR UPDATE
) held
""",
    {"run": "uuid", "attempt": "int", "owner": "text", "user": "uuid", "thought": "text"},
)
_MESSAGE: Final = PreparedStatement(
    "UPDATE chat_message SET text = %(text)s, html = %(html)s, status = %(message_status)s WHERE id = %(message)s"
    " RETURNING moderation",
    {"text": "text", "html": "text", "message_status": "text", "message": "uuid"},
)
_THINKING: Final = PreparedStatement(
    "INSERT INTO chat_reasoning (run_id, text) VALUES (%(run)s, %(thought)s)"
    " ON CONFLICT (run_id) DO UPDATE SET text = excluded.text",
    {"run": "uuid", "thought": "text"},
)
_SQL_TYPES: Final = {"CharField": "text", "TextField": "text", "PositiveIntegerField": "int", "BooleanField": "boolean"}
_FIELDS: Final = Run._meta.concrete_fields  # noqa: SLF001  # Django documents it
_NAMES: Final = tuple(field.attname for field in _FIELDS)
# The columns that an ending knows, as `Ending.run_fields` names them.
_KNOWN: Final = {
    field.attname: _SQL_TYPES[field.get_internal_type()]
    for field in _FIELDS
    if field.attname in Ending.__dataclass_fields__ and field.attname not in ("parameters", "reasoning_ms")
} | {"reasoning_chars": "int"}
_RUN: Final = PreparedStatement(
    f"""
UPDATE chat_run SET finished_at = statement_timestamp(), status = %(run_status)s, waiting_for = '',
    lease_expires_at = NULL, produced_chars = NULL, ended_in_log = false,
    reasoning_ms = COALESCE(%(run_reasoning_ms)s, reasoning_ms),
    parameters = COALESCE(%(run_parameters)s::jsonb, parameters),
    {", ".join(f"{name} = %(run_{name})s" for name in _KNOWN)},
    cost = (SELECT e.cost FROM accounts_usageentry e WHERE e.run_id = %(run)s)
WHERE id = %(run)s RETURNING {", ".join(str(field.column) for field in _FIELDS)},
    EXISTS (SELECT FROM chat_queuedmessage q WHERE q.conversation_id = chat_run.conversation_id
        AND q.state = 'waiting')
""",  # noqa: S608 -- column names
    {
        "run": "uuid",
        "run_status": "text",
        "run_reasoning_ms": "int",
        "run_parameters": "text",
        **{f"run_{name}": kind for name, kind in _KNOWN.items()},
    },
)


def end_plain_run(run: ClaimedRun, status: RunStatus, ending: Ending, *, owner: str) -> Ended | None:
    """Ends the `owner`'s run; None, and nothing has changed: it is not plain, or not this worker's any more. Not within
    a transaction, which would fail as well.
    """
    if connection.in_atomic_block or not _is_plain(run, ending):
        return None
    if any(wants(run.user_id) for wants in wants_ended):
        return None  # `end_run` tells `on_ended`
    assert run.user_id is not None
    assert run.created_at is not None
    used = _used(run, status, ending)
    message = Message(
        id=run.message_id, conversation_id=run.conversation_id, text=ending.text,
        html=ending.rendered.get(ending.text, ""),
        status=MessageStatus.COMPLETE if status == RunStatus.DONE else MessageStatus(status.value),
    )  # fmt: skip
    fields = ending.run_fields()
    if used is not None:  # the run shows what is billed
        fields |= {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens,
                   "reasoning_tokens": used.reasoning_tokens, "usage_estimated": used.estimated}  # fmt: skip
    values: dict[str, Any] = {
        **settling(run.user_id, run.id, run.created_at, used, run.conversation_id),
        **{f"run_{name}": fields[name] for name in _KNOWN},
        "run_reasoning_ms": fields.get("reasoning_ms"),
        "run_parameters": fields.get("parameters"),
        "run_status": status.value,
        "attempt": run.attempt,
        "owner": owner,
        "thought": ending.reasoning,
        "text": message.text,
        "html": message.html,
        "message_status": message.status,
        "message": run.message_id,
    }
    thinking = [_THINKING] if ending.reasoning else []
    try:
        with connection.cursor() as cursor:
            # The settlement as late as possible: from there to the end everybody who shares a quota waits.
            execute_all(cursor, [_HELD, _MESSAGE, *thinking, *SETTLING, _RUN], values)
            results = rows_of_all(cursor)
    except DataError as error:
        if getattr(error.__cause__, "sqlstate", "") != _DIVISION_BY_ZERO:
            raise
        return None
    message.moderation = json.loads(results[1][0][0])
    settled = settled_from(results[-2])
    *columns, waits = results[-1][0]
    ended_run = _run_from(columns)
    return replace(
        ended_of(ended_run, message), user_id=run.user_id, near=settled.near, used=used, cost=ended_run.cost,
        untold=untold_cost(ended_run), may_go_on=waits,
    )  # fmt: skip


def _is_plain(run: ClaimedRun, ending: Ending) -> bool:
    """As far as the worker knows."""
    return not (
        run.base_chars
        or run.step_count
        or run.user_id is None
        or run.created_at is None
        or ending.files
        or not ending.endpoint
        or ending.output_tokens is None
    )


def _used(run: ClaimedRun, status: RunStatus, ending: Ending) -> Used | None:
    """As `end_run` bills it."""
    thought = ending.reasoning_tokens and not ending.usage_estimated
    if status == RunStatus.FAILED and not ending.text and not thought:
        return None
    assert ending.output_tokens is not None
    return Used(
        run.model,
        ending.endpoint,
        messages=1,
        input_tokens=ending.input_tokens or 0,
        cached_tokens=ending.cached_tokens,
        output_tokens=ending.output_tokens,
        reasoning_tokens=ending.reasoning_tokens,
        estimated=ending.usage_estimated,
        reported_cost=ending.reported_cost,
    )


def _run_from(row: Sequence[Any]) -> Run:
    fields = dict(zip(_NAMES, row, strict=True))
    fields["parameters"] = json.loads(fields["parameters"])
    return Run.from_db("default", list(_NAMES), [fields[name] for name in _NAMES])
