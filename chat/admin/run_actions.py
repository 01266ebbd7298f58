"""Stop and retry runs from the admin, through the same code as users' own commands.

A retry regenerates the answer on behalf of the user who asked. Their membership, quotas and limit of concurrent answers
apply, and they are charged.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from django.utils.translation import gettext

from accounts.lib.outage import OUTAGE
from chat.catalog.access import offered_to
from chat.conversations.membership import WRITERS
from chat.models import ACTIVE, Member, Run, RunStatus
from chat.protocol.commands import MessageRegenerate
from chat.protocol.errors import ChatError, Conflict
from chat.turns import stop
from chat.turns.accepted import Accepted
from chat.turns.comparing import is_open
from chat.turns.submit import submit

logger = structlog.get_logger(__name__)


def why_no_stop(run: Run) -> str:
    """Why the run cannot be stopped; empty when it can."""
    if run.status not in ACTIVE:
        return gettext("This run has already ended (%(status)s).") % {"status": run.get_status_display()}
    requested = run.stop_requested_at and run.status == RunStatus.RUNNING
    return gettext("A stop has already been requested.") if requested else ""


def why_no_retry(run: Run) -> str:
    """Why the run cannot be retried; empty when it can. Reads `conversation` and `requested_by` of the run."""
    if run.status in ACTIVE:
        return gettext("This run is still in progress. Stop it first.")
    if run.status == RunStatus.DONE:
        return gettext("The answer is complete. Only failed or stopped answers can be retried.")
    if not run.latest:
        return gettext("A later run has continued this answer.")
    if run.requested_by is None:
        return gettext("The user who asked no longer exists.")
    if not run.requested_by.is_active:
        return gettext("The account of the user who asked is disabled.")
    if run.conversation.deleted_at is not None:
        return gettext("The conversation has been deleted.")
    if run.conversation.tip_id != run.message_id and not (run.slot and is_open(run.prompt_id)):
        return gettext("The conversation has continued since; a new answer here would move its members back.")
    if not Member.objects.filter(conversation_id=run.conversation_id, user=run.requested_by, role__in=WRITERS).exists():
        return gettext("The user who asked may no longer write in this conversation.")
    return ""


def stop_run(run: Run) -> str:
    """Stops the run as its user would; returns a sentence about the result. Raises `Conflict`."""
    if wrong := why_no_stop(run):
        raise Conflict(wrong)
    stopping = stop.mark_stopped(run.pk)
    try:
        async_to_sync(stop.notify_stopped)(stopping)
    except (*OUTAGE, ChannelFull) as error:
        logger.warning("stop_not_published", run=str(run.pk), error=type(error).__name__)
        return gettext("Stop requested. Redis does not respond, so it may take a few seconds.")
    return gettext("Stop requested.") if stopping.running else gettext("Stopped.")


def retry_run(run: Run) -> uuid.UUID:
    """Regenerates the answer; returns the new run's id. Raises `Conflict` with a sentence for staff."""
    if wrong := why_no_retry(run):
        raise Conflict(wrong)
    assert run.requested_by_id is not None  # `why_no_retry` has looked
    offered = [model["id"] for model in offered_to(run.requested_by_id)]
    command = MessageRegenerate(
        message_id=run.message_id, client_id=uuid.uuid4(), model=run.model if run.model in offered else None
    )
    try:
        return async_to_sync(_submit)(run.requested_by_id, command)
    except ChatError as error:
        said = gettext("The user's own request would be refused as well: %(reason)s")
        raise Conflict(said % {"reason": error.message}) from None


async def _submit(user_id: uuid.UUID, command: MessageRegenerate) -> uuid.UUID:
    """As after a user's own command. What fails after the commit is completed within seconds (`chat.recovery`)."""
    committed: list[uuid.UUID] = []

    @asynccontextmanager
    async def note_run(accepted: Accepted) -> AsyncIterator[None]:
        committed.extend(accepted.runs)
        yield

    try:
        submitted = await submit(user_id, command, join=note_run)
    except (*OUTAGE, ChannelFull) as error:
        if not committed:
            raise
        logger.warning("retry_not_announced", run=str(committed[0]), error=type(error).__name__)
    else:
        if submitted.under_way:  # this loop ends with the request, and the job must be out by then
            await asyncio.wait(submitted.under_way)
    return committed[0]
