"""Finds and repairs rows that should not exist: left by restored backups, by old bugs, or by changes made by hand.

Also runs the recovery steps that a running system does by itself within seconds (`chat.recovery.reaper`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.db import connection, transaction

from chat.eventlog import store
from chat.recovery import reaper
from chat.recovery.ledger import check_ledger


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in the database. `find` selects ids; `repair` takes them as `%(ids)s`."""

    what: str
    find: str
    repair: str


# In this order: an answer without a run is ended before a tip is chosen.
FAULTS: Final = (
    Fault(
        "answers whose status is not that of their ended run",
        "SELECT m.id FROM chat_message m JOIN chat_run r ON r.message_id = m.id AND r.latest "
        "WHERE r.status NOT IN ('waiting', 'queued', 'running') "
        "AND m.status <> CASE r.status WHEN 'done' THEN 'complete' ELSE r.status END",
        "UPDATE chat_message m SET status = CASE r.status WHEN 'done' THEN 'complete' ELSE r.status END "
        "FROM chat_run r WHERE r.message_id = m.id AND r.latest AND m.id = ANY(%(ids)s)",
    ),
    Fault(
        "unfinished answers without a run",
        "SELECT m.id FROM chat_message m LEFT JOIN chat_run r ON r.message_id = m.id AND r.latest "
        "WHERE m.role = 'assistant' AND m.status IN ('pending', 'streaming') AND r.id IS NULL",
        "UPDATE chat_message SET status = 'interrupted' WHERE id = ANY(%(ids)s)",
    ),
    Fault(
        "finished answers of runs that have not ended",
        "SELECT m.id FROM chat_message m JOIN chat_run r ON r.message_id = m.id AND r.latest "
        "WHERE r.status IN ('waiting', 'queued', 'running') AND m.status NOT IN ('pending', 'streaming')",
        "UPDATE chat_message SET status = 'pending' WHERE id = ANY(%(ids)s)",
    ),
    Fault(
        "messages whose parent is in another conversation",
        "SELECT m.id FROM chat_message m JOIN chat_message p ON p.id = m.parent_id "
        "WHERE p.conversation_id <> m.conversation_id",
        "UPDATE chat_message m SET parent_id = (SELECT e.id FROM chat_message e "
        "WHERE e.conversation_id = m.conversation_id AND e.role <> m.role "
        "AND (e.created_at, e.id) < (m.created_at, m.id) ORDER BY e.created_at DESC, e.id DESC LIMIT 1) "
        "WHERE m.id = ANY(%(ids)s)",
    ),
    Fault(
        "runs whose answer is in another conversation",
        "SELECT r.id FROM chat_run r JOIN chat_message m ON m.id = r.message_id "
        "WHERE r.conversation_id <> m.conversation_id",
        "UPDATE chat_run r SET conversation_id = m.conversation_id FROM chat_message m "
        "WHERE m.id = r.message_id AND r.id = ANY(%(ids)s)",
    ),
    Fault(
        "conversations without their newest message as tip",
        "SELECT c.id FROM chat_conversation c LEFT JOIN chat_message t ON t.id = c.tip_id "
        "WHERE t.conversation_id IS DISTINCT FROM c.id "
        "AND EXISTS (SELECT FROM chat_message m WHERE m.conversation_id = c.id)",
        "UPDATE chat_conversation c SET tip_id = (SELECT m.id FROM chat_message m WHERE m.conversation_id = c.id "
        "ORDER BY m.created_at DESC, m.id DESC LIMIT 1) WHERE c.id = ANY(%(ids)s)",
    ),
)

# What is wrong, the query that finds it, and the recovery step that repairs it.
_LATE: Final = "clock_timestamp() - interval '30 seconds'"
STEPS: Final[tuple[tuple[str, str, Callable[[], Any]], ...]] = (
    (
        "runs whose lease has expired",
        "SELECT id FROM chat_run WHERE status = 'running' AND lease_expires_at < clock_timestamp()",
        reaper.reap,
    ),
    (
        "queued runs whose job was last published over 30 s ago",
        f"SELECT id FROM chat_run WHERE status = 'queued' AND (enqueued_at IS NULL OR enqueued_at < {_LATE})",  # noqa: S608 -- constants
        reaper.sweep,
    ),
    (
        "ended runs whose closing event is not in the log",
        f"SELECT id FROM chat_run WHERE NOT ended_in_log AND finished_at < {_LATE}",  # noqa: S608 -- constants
        reaper.close_endings,
    ),
)


def repair(*, dry_run: bool = False) -> list[str]:
    """A sentence for each kind of fault; none if there is none. Unless it is a `dry_run`, they are repaired."""
    found = []
    for what, question, step in STEPS:
        if ids := _ids(question):
            found.append(_sentence(ids, what))
            if not dry_run:
                async_to_sync(_run_alone)(step)
    for fault in FAULTS:
        with transaction.atomic():
            if ids := _ids(fault.find):
                found.append(_sentence(ids, fault.what))
                if not dry_run:
                    with connection.cursor() as cursor:
                        cursor.execute(fault.repair, {"ids": ids})
    return found + check_ledger(repair=not dry_run)


async def _run_alone(step: Callable[[], Any]) -> None:
    """Runs one recovery step on an event loop of its own."""
    try:
        await step()
    finally:
        await store.channel_layer().close()


def _ids(question: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return [row[0] for row in cursor.fetchall()]


def _sentence(ids: list[Any], what: str) -> str:
    some = ", ".join(map(str, ids[:3])) + (", …" if len(ids) > 3 else "")
    return f"{len(ids)} {what}: {some}"
