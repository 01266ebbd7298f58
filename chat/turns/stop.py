"""Stops a run, from any device."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models.functions import Now

from accounts.lib.db import in_db
from chat.conversations.membership import member_of
from chat.eventlog import store
from chat.models import ACTIVE, Run, RunStatus
from chat.protocol.errors import NotFound
from chat.runs.closing import close_in_log
from chat.runs.ending import Ended, cut_to_heard, end_run

STOP_GROUP: Final = "workers.stop"


@dataclass(slots=True)
class Stopping:
    """What a stop found. `ended`: the run was waiting and no worker had taken it yet, or its answer was cut."""

    run_id: uuid.UUID
    ended: Ended | None
    running: bool


def request_stop(user_id: uuid.UUID, run_id: uuid.UUID, heard_chars: int | None = None) -> Stopping:
    """`mark_stopped`, by somebody who may write in its conversation. Raises `ChatError`s."""
    found = Run.objects.filter(pk=run_id).values_list("conversation_id", flat=True).first()
    if found is None:
        raise NotFound
    member_of(user_id, found, write=True)
    return mark_stopped(run_id, heard_chars)


def mark_stopped(run_id: uuid.UUID, heard_chars: int | None = None) -> Stopping:
    """Marks a run to be stopped; one that waits in the queue ends here. Stopping an ended run changes nothing.

    With `heard_chars` somebody talked over the answer: of one in progress its end keeps what was heard, an ended one is
    cut here. The first who says so is believed: an answer is cut once.
    """
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run_id)
        ended = None
        heard = heard_chars if run.heard_chars is None else None
        if run.status not in ACTIVE:
            if heard is not None:
                ended = cut_to_heard(run, heard)
            return Stopping(run.id, ended, running=False)
        if heard is not None:
            Run.objects.filter(pk=run_id).update(heard_chars=heard)
        if run.status == RunStatus.QUEUED:
            ended = end_run(run.id, run.attempt, RunStatus.STOPPED)
        elif run.stop_requested_at is None:
            Run.objects.filter(pk=run_id).update(stop_requested_at=Now())
        return Stopping(run.id, ended, run.status == RunStatus.RUNNING)


async def stop(user_id: uuid.UUID, run_id: uuid.UUID) -> None:
    """Stops an answer from any device. The worker is told at once; if that is lost, it reads the row within 2 s."""
    await tell_stopped(await in_db(request_stop, user_id, run_id))


async def interrupt(user_id: uuid.UUID, run_id: uuid.UUID, heard_chars: int) -> None:
    """Stops an answer that somebody talked over, and keeps of it what was heard: `heard_chars` code points."""
    await tell_stopped(await in_db(request_stop, user_id, run_id, heard_chars))


async def tell_stopped(stopping: Stopping) -> None:
    """Tells whoever writes the answer, or the conversation where it has ended. What is lost of it is made up for."""
    if stopping.ended is not None:
        await close_in_log(stopping.ended)
    elif stopping.running:
        await store.channel_layer().group_send(STOP_GROUP, {"type": "run.stop", "run_id": stopping.run_id.hex})
