"""Gives a message another text after it was shown, so that nothing serves its old text any more.

The rows change in one transaction: the message with what moderation says of it, its thinking, its HTML (made again in
the background, `workers.runtime.rendering`), what was dictated for it, and a title made of it; a trigger deletes
summaries of it. After the commit the conversation's event log begins again under a new epoch: no resume and no replay
has the old text, every reader takes a snapshot, and `message.updated` is its first event. `Rewritten` is the outbox of
that epoch: if Redis is away, or the process dies before, any process's recovery begins it within seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import structlog
from asgiref.sync import async_to_sync
from django.db import connection, transaction

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import events, store
from chat.eventlog.html_requests import request_html
from chat.eventlog.payloads import MODERATED
from chat.eventlog.user_events import listing_of, notify_conversation_listed
from chat.models import (
    ACTIVE,
    Conversation,
    Member,
    Message,
    MessageRole,
    Reasoning,
    Run,
    RunStatus,
    SharedMessage,
    ShareLink,
    ToolCall,
    Utterance,
)
from chat.models.conversations import title_from
from chat.models.rewritten import Rewritten
from chat.moderation.screening import titles_made_of
from chat.runs.clock import database_time
from chat.runs.closing import close_in_log
from chat.runs.context import earlier_runs
from chat.runs.ending import Ended, Ending, end_run, ended_of
from chat.runs.step_texts import blank_calls

MOST_QUESTIONS: Final = 50  # before the first answer of a conversation
AT_ONCE: Final = 100  # rewritten messages that one round publishes

logger = structlog.get_logger(__name__)


def rewrite_message(
    message_id: uuid.UUID,
    text: str,
    moderation: Mapping[str, str],
    *,
    reasoning: str | None = None,
    publish: bool = True,
) -> bool:
    """Gives a message this text, and `Message.moderation` (`cases.shown_moderation`, or {}). False: it is gone.

    One transaction, or a part of the caller's; the event log begins anew after its commit. An answer that is being
    written ends with this text, as `stopped` with the code `moderated`. What the model thought stays, unless
    `reasoning` replaces it; "" removes it. Not to be called on the thread of an event loop. A caller on a thread of
    `accounts.lib.db` passes `publish` as False and awaits `publish_rewritten` after the commit: it needs such a thread,
    and would wait for its own.
    """
    with transaction.atomic():
        # In the order of every end of a run: the run's row, then the message's. The latter without its key: a message
        # that is sent below it at the same time refers to it, and waits for nothing.
        run = Run.objects.select_for_update(of=("self",)).filter(message_id=message_id, latest=True).first()
        message = Message.objects.select_for_update(no_key=True, of=("self",)).filter(pk=message_id).first()
        if message is None:
            return False
        _lock_titles(message.conversation_id)
        if run is not None and run.status in ACTIVE:
            sentence = moderation.get("reason", "")
            ending = Ending(text, _thought(run, reasoning), error_code=MODERATED, error_message=sentence)
            end_run(run.pk, run.attempt, RunStatus.STOPPED, ending)
        _replace_title(message, text)
        if moderation or not text:
            _withdraw_written_title(message, text)
        Message.objects.filter(pk=message_id).update(text=text, html="", moderation=dict(moderation), mentions=[])
        SharedMessage.objects.filter(message=message_id).update(text=text, html="", moderation=dict(moderation))
        if run is not None:
            Run.objects.filter(pk=run.pk).update(checkpoint_epoch="", checkpoint_seq=0)
            if not moderation:  # nothing is withheld any more
                Run.objects.filter(pk=run.pk, error_code=MODERATED).update(error_code="", error_message="")
            if reasoning is not None:
                _replace_reasoning(run, reasoning)
            if moderation or not text:  # what tools returned may have the same words
                blank_calls(ToolCall.objects.filter(run__message=message_id))
        _replace_utterances(message_id, text)
        Rewritten.objects.update_or_create(message_id=message_id, defaults={"rewritten_at": database_time()})
        if publish:
            transaction.on_commit(lambda: _publish_soon([message_id]))
    return True


def republish(message_id: uuid.UUID) -> None:
    """What a call of an ended answer shows has changed: the event log begins anew with it after the commit of the
    caller's transaction. Not to be called on the thread of an event loop, nor on one of `accounts.lib.db`.
    """
    with transaction.atomic():
        Run.objects.filter(message=message_id, latest=True).update(checkpoint_epoch="", checkpoint_seq=0)
        Rewritten.objects.update_or_create(message_id=message_id, defaults={"rewritten_at": database_time()})
        transaction.on_commit(lambda: _publish_soon([message_id]))


async def publish_rewritten(message_ids: Sequence[uuid.UUID] | None = None) -> int:
    """Begins the event logs of conversations with rewritten messages anew; returns of how many messages.

    Without `message_ids` it is what an outage or a crash has left. Safe to repeat. Raises `redis.RedisError`.
    """
    found = await in_db(_find, message_ids)
    for one in found:
        if one.ended is not None:
            await close_in_log(one.ended)
        [appended] = await store.append(one.append)
        if appended.skipped:  # by a log that is ahead of this clock
            await store.append(store.Append(one.append.conversation_id, one.append.events, anew=True))
        for member in one.members:  # the list and the heading of open pages may have words of it
            await notify_conversation_listed(member, one.listing)
        await in_db(_note_published, one)
        await request_html([one.message_id])
    return len(found)


class _Found(NamedTuple):
    message_id: uuid.UUID
    rewritten_at: datetime
    ended: Ended | None  # the end of its run is not in the log yet
    append: store.Append
    members: list[uuid.UUID]
    listing: dict[str, Any]


def _find(message_ids: Sequence[uuid.UUID] | None) -> list[_Found]:
    rows = Rewritten.objects.select_related("message__author", "message__conversation").order_by("rewritten_at")
    if message_ids is not None:
        rows = rows.filter(pk__in=message_ids)
    return [_found(row) for row in rows[:AT_ONCE]]


def _found(row: Rewritten) -> _Found:
    message = row.message
    run = Run.objects.filter(message=message, latest=True).first()
    ended = None
    if run is not None and run.status not in ACTIVE and not run.ended_in_log:
        ended = ended_of(run, message)
    made = [
        events.message_updated(message, run, earlier_runs(run) if run else ()),
        events.conversation_updated(message.conversation),
    ]
    # Beyond the number of every append of its run: a worker that was presumed lost stays fenced in the new epoch.
    append = store.Append(message.conversation_id, made, anew=True)
    if run is not None and run.status not in ACTIVE:
        number = int(row.rewritten_at.timestamp() * 1000)
        append = replace(append, run_id=run.pk, attempt=run.attempt, number=number)
    members = list(Member.objects.filter(conversation=message.conversation_id).values_list("user_id", flat=True))
    return _Found(message.pk, row.rewritten_at, ended, append, members, listing_of(message.conversation))


def _note_published(one: _Found) -> None:
    """Unless it was rewritten once more meanwhile."""
    Rewritten.objects.filter(pk=one.message_id, rewritten_at=one.rewritten_at).delete()


def _publish_soon(message_ids: Sequence[uuid.UUID]) -> None:
    try:
        async_to_sync(publish_rewritten)(message_ids)
    except OUTAGE as error:
        note = "the recovery of any process does it"
        logger.warning("rewriting_not_published", error=type(error).__name__, note=note)


def _thought(run: Run, reasoning: str | None) -> str:
    if reasoning is not None:
        return reasoning
    return Reasoning.objects.filter(run=run).values_list("text", flat=True).first() or ""


def _replace_reasoning(run: Run, text: str) -> None:
    """Of all runs that wrote the answer; the latest has what is left."""
    Reasoning.objects.filter(run__message=run.message_id).delete()
    Run.objects.filter(message=run.message_id).update(reasoning_chars=0)
    if text:
        Reasoning.objects.create(run=run, text=text)
        Run.objects.filter(pk=run.pk).update(reasoning_chars=len(text))


def _lock_titles(conversation_id: uuid.UUID) -> None:
    """Titles are made of several messages. Of two that are withheld at once, the second one sees what the first has
    made of the title; else it could keep the words of a question that neither of them has.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('titles'), hashtext(%s))", [str(conversation_id)])


def _replace_title(message: Message, text: str) -> None:
    """A title that was made of the words of a question is made of its new words. That question is the first one, or one
    that was asked when those before it were withheld.
    """
    made = titles_made_of(message)
    if not made or message.role != MessageRole.USER:
        return
    conversation = Conversation.objects.get(pk=message.conversation_id)
    if message.parent_id is not None and _is_made_of_first(conversation, made):
        return
    titled = Conversation.objects.filter(pk=conversation.pk, title__in=made)
    titled.update(title=title_from(text))
    ShareLink.objects.filter(conversation=conversation, title__in=made).update(title=title_from(text))


def _is_made_of_first(conversation: Conversation, made: Sequence[str]) -> bool:
    """Whether a first question has the words of the title, too."""
    firsts = Message.objects.filter(conversation=conversation, parent=None).exclude(text="")
    return any(title in made for first in firsts for title in titles_made_of(first))


def _withdraw_written_title(message: Message, text: str) -> None:
    """A title that a model made of this message is made of the first question's words again.

    It was made of an answer to which no other answer leads, and of the questions before that.
    """
    rows = Conversation.objects.filter(pk=message.conversation_id)
    written = rows.exclude(written_title="").values_list("written_title", flat=True).first()
    if written is None:
        return
    first = message
    for _ in range(MOST_QUESTIONS):
        if (before := first.parent) is None:
            break
        if before.role != MessageRole.USER:
            return
        first = before
    title = title_from(text if first is message else first.text)
    rows.filter(title=written).update(title=title)
    ShareLink.objects.filter(conversation=message.conversation_id, title=written).update(title=title)
    rows.update(written_title="")


def _replace_utterances(message_id: uuid.UUID, text: str) -> None:
    """What was dictated for it: the first utterance has the new text, further ones none."""
    first = Utterance.objects.filter(message=message_id).order_by("recording", "number").first()
    if first is not None:
        Utterance.objects.filter(message=message_id).update(text="")
        Utterance.objects.filter(pk=first.pk).update(text=text)
