"""Appends the closing event of a run to the event log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from accounts.lib.db import in_db
from chat.eventlog import store
from chat.eventlog.events import Event
from chat.runs.ending import TERMINAL_NUMBER, Ended, announcements, mark_ended_in_log


async def close_in_log(*ended: Ended) -> None:
    """Appends closing events, once each however often it is called, and notes that they are there."""
    silent = [one.run_id for one in ended if one.silent]
    announced = await in_db(announcements, silent) if silent else {}
    appends = []
    for one in ended:
        if one.run_id in announced:
            appends.append(store.Append(one.conversation_id, announced[one.run_id], one.run_id, attempt=0, number=1))
        appends += closing(one)
    await store.append(*appends)
    await in_db(mark_ended_in_log, [one.run_id for one in ended])


async def close_attempt(conversation_id: uuid.UUID, run_id: uuid.UUID, attempt: int, said: Sequence[Event]) -> None:
    """Appends what ends an attempt that showed nothing, before the next one, which would fence it.

    The message is announced too, should the process that took it have died before: where the log knows the run, both
    are skipped.
    """
    announced = await in_db(announcements, [run_id])
    await store.append(
        store.Append(conversation_id, announced[run_id], run_id, attempt=0, number=1),
        store.Append(conversation_id, said, run_id, attempt, TERMINAL_NUMBER),
    )


def closing(ended: Ended) -> list[store.Append]:
    """The appends that close a run. Their numbers are beyond every other, so whoever was thought dead writes no more,
    and any process may make them, once.
    """
    said = [ended.event, *([ended.kept] if ended.kept else [])]
    return [
        store.Append(
            ended.conversation_id,
            [event],
            ended.run_id,
            ended.attempt,
            number,
            anew=not ended.whole and number == TERMINAL_NUMBER,
        )
        for number, event in enumerate(said, TERMINAL_NUMBER)
    ]
