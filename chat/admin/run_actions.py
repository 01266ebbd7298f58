"""Staff's hand on runs: stopping and retrying somebody's answer, by the ways that people's own commands take.

A retry is another answer to the same question, asked for in the name of whoever asked first: their membership, their
quotas and their limit of answers at once hold, and what it costs is theirs.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull

from accounts.lib.outage import OUTAGE
from chat.catalog import offered_models
from chat.conversations.membership import WRITERS
from chat.models import ACTIVE, Member, Run, RunStatus
from chat.protocol.commands import MessageRegenerate
from chat.protocol.errors import ChatError, Conflict
from chat.turns import stop
from chat.turns.accept import Accepted
from chat.turns.submit import submit

logger = structlog.get_logger(__name__)


def why_no_stop(run: Run) -> str:
    """Why stopping it makes no sense; empty when it does."""
    if run.status not in ACTIVE:
        return f"It has ended already: {run.get_status_display().lower()}."
    return "It has been told to stop." if run.stop_requested_at and run.status == RunStatus.RUNNING else ""


def why_no_retry(run: Run) -> str:
    """Why retrying it makes no sense; empty when it does. Best with `conversation` and `requested_by` selected."""
    if run.status in ACTIVE:
        return "It is still under way. Stop it first."
    if run.status == RunStatus.DONE:
        return "The answer is complete. Retry is for answers that failed or were stopped."
    if run.requested_by is None:
        return "Whoever asked for it is gone."
    if not run.requested_by.is_active:
        return "The account of whoever asked is switched off."
    if run.conversation.deleted_at is not None:
        return "Its conversation is deleted."
    if run.conversation.tip_id != run.message_id:
        return "The conversation has gone on since: another answer here would take its people back."
    if not Member.objects.filter(conversation_id=run.conversation_id, user=run.requested_by, role__in=WRITERS).exists():
        return "Whoever asked may no longer write in its conversation."
    return ""


def stop_run(run: Run) -> str:
    """Stops it as its own people would; a sentence about what happened. Raises `Conflict`, where it makes no sense."""
    if wrong := why_no_stop(run):
        raise Conflict(wrong)
    stopping = stop.mark_stopped(run.pk)
    try:
        async_to_sync(stop.notify_stopped)(stopping)
    except (*OUTAGE, ChannelFull) as error:
        logger.warning("stop_not_published", run=str(run.pk), error=type(error).__name__)
        return "It is marked to stop. Redis does not answer, so it takes some seconds."
    return "It was told to stop." if stopping.running else "It is stopped."


def retry_run(run: Run) -> uuid.UUID:
    """Asks for another answer to its question; the new run. Raises `ChatError`s with a sentence for staff."""
    if wrong := why_no_retry(run):
        raise Conflict(wrong)
    assert run.requested_by_id is not None  # `why_no_retry` has looked
    offered = [model["id"] for model in offered_models.offered_models()]
    command = MessageRegenerate(
        message_id=run.message_id, client_id=uuid.uuid4(), model=run.model if run.model in offered else None
    )
    try:
        return async_to_sync(_submit)(run.requested_by_id, command)
    except ChatError as error:
        raise Conflict(f"Their own command would be refused, too: {error.message}") from None


async def _submit(user_id: uuid.UUID, command: MessageRegenerate) -> uuid.UUID:
    """As after a user's own command. What fails after the commit is completed within seconds (`chat.recovery`)."""
    committed: list[uuid.UUID] = []

    @asynccontextmanager
    async def note_run(accepted: Accepted) -> AsyncIterator[None]:
        committed.append(accepted.run_id)
        yield

    try:
        submitted = await submit(user_id, command, join=note_run)
    except (*OUTAGE, ChannelFull) as error:
        if not committed:
            raise
        logger.warning("retry_not_announced", run=str(committed[0]), error=type(error).__name__)
    else:
        if submitted.enqueueing is not None:  # this loop ends with the request, and the job must be out by then
            await asyncio.wait({submitted.enqueueing})
    return committed[0]
