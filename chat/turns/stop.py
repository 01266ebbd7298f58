"""Stops a run, and cuts an answer that the user talked over."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models.functions import Now

from accounts.lib.db import in_db
from chat.conversations.membership import member_of
from chat.eventlog import store
from chat.models import ACTIVE, Run, RunStatus, WaitingFor
from chat.protocol.errors import NotFound
from chat.runs.closing import close_in_log
from chat.runs.ending import Ended, cut_to_heard, end_run
from chat.turns.releasing import withdraw_held

STOP_GROUP: Final = "workers.stop"


@dataclass(slots=True)
class StopResult:
    """`ended`: the run had not begun and has ended, or its answer was cut. `running`: a worker must be notified."""

    run_id: uuid.UUID
    ended: Ended | None
    running: bool


def request_stop(user_id: uuid.UUID, run_id: uuid.UUID, heard_chars: int | None = None) -> StopResult:
    """`mark_stopped` for a user who may write in the conversation. Raises `ChatError`s."""
    found = Run.objects.filter(pk=run_id).values_list("conversation_id", flat=True).first()
    if found is None:
        raise NotFound
    member_of(user_id, found, write=True)
    return mark_stopped(run_id, heard_chars)


def mark_stopped(run_id: uuid.UUID, heard_chars: int | None = None) -> StopResult:
    """Marks a run to be stopped; a queued or waiting run ends here. Of an ended run nothing changes.

    With `heard_chars` the user talked over the answer. A running answer is cut to it when it ends; an ended one is cut
    here. Only the first call counts: an answer is cut once.
    """
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run_id)
        ended = None
        heard = heard_chars if run.heard_chars is None else None
        if run.status not in ACTIVE:
            if heard is not None and run.latest:  # else the answer has gone on since
                ended = cut_to_heard(run, heard)
            return StopResult(run.id, ended, running=False)
        if heard is not None:
            Run.objects.filter(pk=run_id).update(heard_chars=heard)
        if run.waiting_for == WaitingFor.MODERATION:
            withdraw_held(run)
        if run.status in (RunStatus.WAITING, RunStatus.QUEUED):
            ended = end_run(run.id, run.attempt, RunStatus.STOPPED)
        elif run.stop_requested_at is None:
            Run.objects.filter(pk=run_id).update(stop_requested_at=Now())
        return StopResult(run.id, ended, run.status == RunStatus.RUNNING)


async def stop(user_id: uuid.UUID, run_id: uuid.UUID) -> None:
    """Stops an answer from any device. If the message to its worker is lost, the worker reads the row within 2 s."""
    await notify_stopped(await in_db(request_stop, user_id, run_id))


async def interrupt(user_id: uuid.UUID, run_id: uuid.UUID, heard_chars: int) -> None:
    """Stops an answer that the user talked over, and keeps the part that was heard: `heard_chars` code points."""
    await notify_stopped(await in_db(request_stop, user_id, run_id, heard_chars))


async def notify_stopped(result: StopResult) -> None:
    """Notifies the worker, or closes the run in the event log if it has ended. See `chat.recovery` for lost ones."""
    if result.ended is not None:
        await close_in_log(result.ended)
    elif result.running:
        await store.channel_layer().group_send(STOP_GROUP, {"type": "run.stop", "run_id": result.run_id.hex})
