"""Appends the closing events of runs to the event log, and notes in PostgreSQL that they are there."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from django.db import connection

from accounts.lib.db import in_db
from chat.eventlog import events, store
from chat.eventlog.events import Event
from chat.eventlog.html_requests import request_html
from chat.models import Run
from chat.notifications.ended import announce_ended
from chat.runs.ending import Ended
from chat.runs.step_ending import all_step_events

# Number of the append that closes an attempt: beyond every other, so that any process may make it, once
# (`chat.eventlog.store`).
TERMINAL_NUMBER: Final = 1_000_000_000
FENCE_NUMBER: Final = TERMINAL_NUMBER - 1  # of the append without events that ends the writes of an attempt

# Called after the ends of runs are in the log, with their conversations. `chat.apps` adds what goes on then.
after_end: Final[list[Callable[[Collection[uuid.UUID]], Awaitable[None]]]] = []

_MARK: Final = """
UPDATE chat_run r SET ended_in_log = true FROM chat_message m WHERE m.id = r.message_id AND r.id = ANY(%s)
RETURNING m.id, m.text <> '' AND m.html = ''
"""


async def close_in_log(*ended: Ended) -> None:
    """Appends closing events, each once however often it is called, and notes that they are in the log."""
    silent = [one.run_id for one in ended if one.silent]
    announced = await in_db(announcements, silent) if silent else {}
    appends = []
    for one in ended:
        if one.run_id in announced:
            appends.append(store.Append(one.conversation_id, announced[one.run_id], one.run_id, attempt=0, number=1))
        appends += closing(one)
    await store.append(*appends)
    await note_closed([one.run_id for one in ended])
    for go_on in after_end:
        await go_on({one.conversation_id for one in ended})


async def note_closed(run_ids: Sequence[uuid.UUID]) -> None:
    """Notes that the closing events of these runs are in the log. HTML that one lacks is requested of the workers. The
    members' lists show that the answers have ended, and who asked and is away gets a notification.
    """
    await request_html(await in_db(mark_ended_in_log, run_ids))
    await announce_ended(run_ids)


async def fence(conversation_id: uuid.UUID, run_id: uuid.UUID, attempt: int, *, silent: bool) -> None:
    """From now on the worker of this attempt can append nothing, so that the log has all of its text.

    `silent`: PostgreSQL has no text of it. Its message is then announced, in case nobody has done so.
    """
    appends = [store.Append(conversation_id, (), run_id, attempt, FENCE_NUMBER)]
    if silent:
        announced = await in_db(announcements, [run_id])
        appends.insert(0, store.Append(conversation_id, announced[run_id], run_id, attempt=0, number=1))
    await store.append(*appends)


async def close_attempt(
    conversation_id: uuid.UUID, run_id: uuid.UUID, attempt: int, closing_events: Sequence[Event]
) -> None:
    """Appends the end of an attempt that showed nothing, before the next attempt, which would fence it.

    Announces the message as well, in case the process that accepted it died before. If the log has the run already,
    both appends are skipped.
    """
    announced = await in_db(announcements, [run_id])
    await store.append(
        store.Append(conversation_id, announced[run_id], run_id, attempt=0, number=1),
        store.Append(conversation_id, closing_events, run_id, attempt, TERMINAL_NUMBER),
    )


def closing(ended: Ended) -> list[store.Append]:
    """The appends that close a run. After them a worker that was presumed dead can append nothing more to it."""
    closing_events = [[*ended.notices, ended.event], *([[ended.kept]] if ended.kept else [])]
    return [
        store.Append(
            ended.conversation_id,
            made,
            ended.run_id,
            ended.attempt,
            number,
            anew=not ended.whole and number == TERMINAL_NUMBER,
        )
        for number, made in enumerate(closing_events, TERMINAL_NUMBER)
    ]


def announcements(run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Event]]:
    """The first events of these runs, by run id: they must be in the log before any other."""
    related = ("message", "prompt__author", "prompt__comparison", "requested_by")
    runs = Run.objects.select_related(*related).filter(pk__in=run_ids)
    return {run.pk: [*_announced_messages(run), events.run_announced(run), *all_step_events(run)] for run in runs}


def _announced_messages(run: Run) -> list[Event]:
    if run.part > 1:
        return [events.answer_continued(run.message, run)]
    prompt = run.prompt
    # The question may have chosen the answer it follows, of several side by side.
    chosen = Run.objects.filter(message=prompt.parent_id, prompt__comparison__chosen=prompt.parent_id, latest=True)
    return [
        *(events.answer_chosen(run.conversation_id, one) for one in (chosen if prompt.parent_id else ())),
        events.message_created(prompt, comparison=getattr(prompt, "comparison", None)),
        *events.moderation_notices(prompt),
        events.message_created(run.message, slot=run.slot, asked_by=run.requested_by),
    ]


def mark_ended_in_log(run_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Notes that the closing events of these runs are in the log. Returns the answers that have text without HTML."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [list(run_ids)])
        return [message_id for message_id, unrendered in cursor.fetchall() if unrendered]
