"""A held message is released, refused or withdrawn. Until then its text is in its case only, and its runs wait.

A run and the message it answers are locked in this order everywhere, so that a reviewer, another reviewer and the
author who withdraws it come one after the other; the first one decides.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models.functions import Now

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from chat.conversations.titles import title_from
from chat.eventlog import events, store
from chat.eventlog.user_events import notify_conversation_listed
from chat.files.payloads import load_files
from chat.jobs.dispatch import BrokerAway, enqueue
from chat.models import Conversation, Member, Message, Run, RunStatus, WaitingFor
from chat.models.moderation import CaseTarget, ModerationCase
from chat.moderation.screening import screen_title
from chat.notifications.turns import announce_turn
from chat.protocol.errors import NotFound
from chat.runs.closing import announcements, close_in_log
from chat.runs.ending import Ended, end_run
from chat.turns.mentioning import note_released, notify_mentioned, read_message

REFUSED: Final = gettext_noop("A reviewer refused this message.")
WITHDRAWN: Final = gettext_noop("This message was withdrawn before a reviewer read it.")
CODE: Final = "moderated"

logger = structlog.get_logger(__name__)


class HeldState(StrEnum):
    """What became of a held message."""

    RELEASED = "released"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"  # by its author; it stays withheld
    GONE = "gone"  # the message, or its text in the case, was deleted


@dataclass(frozen=True, slots=True)
class Held:
    """What a held message is after a decision. `changed`: this decision made it so; an earlier one may have."""

    state: HeldState
    changed: bool
    conversation_id: uuid.UUID | None = None
    message_id: uuid.UUID | None = None


def release_held(case_id: uuid.UUID) -> Held:
    """Gives a held message its text back and queues its runs; open pages show it at once. One that was refused gets its
    text back as well, but its runs have ended: its author may try again.

    May be called within a transaction: what readers see changes when that commits. Raises `NotFound` if there is no
    such case of a message.
    """
    with transaction.atomic():
        case = _lock_case(case_id)
        runs, message = _lock_held(case)
        if message is None or not case.original:
            return Held(HeldState.GONE, changed=False)
        if (state := _state_of(message, case)) not in (None, HeldState.REFUSED):
            return _unchanged(state, message)
        message.text = case.original
        message.moderation = {"action": "release", "reason": "", "case_id": str(case.pk)}
        told = note_released(message)
        message.save(update_fields=["text", "moderation", "mentions"])
        # The sweeper enqueues what this process does not. A time of days in the queue would say nothing.
        Run.objects.filter(pk__in=[run.pk for run in runs]).update(
            status=RunStatus.QUEUED, waiting_for="", enqueued_at=None, queued_ms=0
        )
        _give_title(message)
        queued = [run.pk for run in runs]
        transaction.on_commit(lambda: async_to_sync(_publish_released)(message.pk, queued, told), robust=True)
    return Held(HeldState.RELEASED, True, message.conversation_id, message.pk)


def refuse_held(case_id: uuid.UUID, reason: str = REFUSED) -> Held:
    """Refuses a held message for good: it stays without text, and its runs end as `moderated` with `reason`, which its
    author reads. What they had reserved is free again.

    May be called within a transaction, as `release_held`. Raises `NotFound` if there is no such case of a message.
    """
    with transaction.atomic():
        case = _lock_case(case_id)
        runs, message = _lock_held(case)
        if message is None:
            return Held(HeldState.GONE, changed=False)
        if (state := _state_of(message, case)) not in (None, HeldState.WITHDRAWN):
            return _unchanged(state, message)
        _withhold(message, "block", reason, case.pk)
        ended = _stop(runs, reason)
        transaction.on_commit(lambda: async_to_sync(_publish_refused)(message.pk, ended), robust=True)
    return Held(HeldState.REFUSED, True, message.conversation_id, message.pk)


def withdraw_held(run: Run) -> None:
    """Marks the question of a waiting run, which the caller has locked and will end, as withdrawn by its author; unless
    other runs still wait for it.
    """
    message = Message.objects.select_for_update(no_key=True).get(pk=run.prompt_id)
    others = Run.objects.filter(prompt=message, status=RunStatus.WAITING).exclude(pk=run.pk)
    if message.moderation.get("action") == "hold" and not others.exists():
        _withhold(message, "withdrawn", WITHDRAWN, message.moderation["case_id"])


async def announce_released(run_ids: Sequence[uuid.UUID]) -> None:
    """Appends what a release changed, of those runs that were held: the process that released them may have died."""
    for prompt_id, released in (await in_db(_find_released, run_ids)).items():
        await _announce_released(prompt_id, released)


def _lock_case(case_id: uuid.UUID) -> ModerationCase:
    case = ModerationCase.objects.select_for_update(of=("self",)).filter(pk=case_id, target=CaseTarget.MESSAGE).first()
    if case is None:
        raise NotFound
    return case


def _lock_held(case: ModerationCase) -> tuple[list[Run], Message | None]:
    """The runs that wait for the case's message, and the message."""
    waiting = Run.objects.filter(
        prompt=case.target_id, status=RunStatus.WAITING, waiting_for=WaitingFor.MODERATION
    ).order_by("pk")
    runs = list(waiting.select_for_update(of=("self",)))
    return runs, Message.objects.select_for_update(no_key=True, of=("self",)).filter(pk=case.target_id).first()


def _state_of(message: Message, case: ModerationCase) -> HeldState | None:
    """What became of a message; None while it is held because of this case."""
    if message.moderation.get("case_id") != str(case.pk):
        return HeldState.GONE
    known = {
        "hold": None, "release": HeldState.RELEASED, "block": HeldState.REFUSED, "withdrawn": HeldState.WITHDRAWN,
    }  # fmt: skip
    return known.get(message.moderation["action"], HeldState.GONE)


def _unchanged(state: HeldState | None, message: Message) -> Held:
    assert state is not None  # a held message is decided about
    return Held(state, False, message.conversation_id, message.pk)


def _withhold(message: Message, action: str, reason: str, case_id: object) -> None:
    message.moderation = {"action": action, "reason": reason, "case_id": str(case_id)}
    message.save(update_fields=["moderation"])


def _stop(runs: Sequence[Run], reason: str) -> list[Ended]:
    ended = [end_run(run.pk, run.attempt, RunStatus.STOPPED, why=(CODE, reason)) for run in runs]
    return [one for one in ended if one is not None]


def _give_title(message: Message) -> None:
    """A conversation that a held message began has no title until now."""
    untitled = Conversation.objects.filter(pk=message.conversation_id, title="")
    title = title_from(message.text)
    untitled.update(title=screen_title(title, message.author_id) if message.author_id else title)
    Conversation.objects.filter(pk=message.conversation_id).update(updated_at=Now())


async def _publish_released(message_id: uuid.UUID, run_ids: Sequence[uuid.UUID], told: Sequence[uuid.UUID]) -> None:
    try:
        await _announce_released(message_id, run_ids)
        for run_id in run_ids:
            await enqueue(run_id)
        await in_db(_note_enqueued, run_ids)
        await _notify_members(message_id)
        if told:
            await notify_mentioned(await in_db(read_message, message_id), told)
    except (*OUTAGE, OSError, BrokerAway) as error:
        note = "the sweeper publishes and enqueues it"
        logger.warning("release_not_published", message=str(message_id), error=type(error).__name__, note=note)


async def _announce_released(message_id: uuid.UUID, run_ids: Sequence[uuid.UUID]) -> None:
    message, runs, announced = await in_db(_read_released, message_id, run_ids)
    conversation_id = message.conversation_id
    shown = [events.message_updated(message, None), *events.moderation_notices(message)]
    first = [store.Append(conversation_id, announced[run.pk], run.pk, attempt=0, number=1) for run in runs]
    resumed = [
        store.Append(
            conversation_id,
            [events.run_resumed(run, WaitingFor.MODERATION.value, attempt=1), events.run_queued(run, attempt=1)],
            run.pk,
            attempt=0,
            number=2,
        )
        for run in runs
    ]
    await store.append(*first, store.Append(conversation_id, shown), *resumed)


async def _publish_refused(message_id: uuid.UUID, ended: Sequence[Ended]) -> None:
    try:
        await close_in_log(*ended)
        message, *_ = await in_db(_read_released, message_id, [])
        shown = [events.message_updated(message, None), *events.moderation_notices(message)]
        await store.append(store.Append(message.conversation_id, shown))
    except (*OUTAGE, OSError) as error:
        logger.warning("refusal_not_published", message=str(message_id), error=type(error).__name__)


async def _notify_members(message_id: uuid.UUID) -> None:
    conversation_id, members, others, listing = await in_db(_read_listing, message_id)
    for member in members:
        await notify_conversation_listed(member, listing)
    await announce_turn(conversation_id, message_id, others)


def _read_listing(message_id: uuid.UUID) -> tuple[uuid.UUID, list[uuid.UUID], list[uuid.UUID], dict[str, object]]:
    """The conversation, its members, those of them who did not write the message, and what their lists show."""
    conversation = Conversation.objects.get(messages=message_id)
    author = Message.objects.values_list("author", flat=True).get(pk=message_id)
    members = list(Member.objects.filter(conversation=conversation).values_list("user_id", flat=True))
    listing = {
        "conversation_id": str(conversation.pk),
        "title": conversation.title,
        "updated_at": conversation.updated_at.isoformat(),
        "temporary": conversation.temporary,
    }
    return conversation.pk, members, [member for member in members if member != author], listing


def _read_released(
    message_id: uuid.UUID, run_ids: Sequence[uuid.UUID]
) -> tuple[Message, list[Run], dict[uuid.UUID, list[events.Event]]]:
    message = Message.objects.select_related("author").get(pk=message_id)
    load_files([message])
    return message, list(Run.objects.filter(pk__in=run_ids)), announcements(run_ids)


def _find_released(run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[uuid.UUID]]:
    found: dict[uuid.UUID, list[uuid.UUID]] = {}
    runs = Run.objects.filter(pk__in=run_ids, attempt=0, prompt__moderation__action="release")
    for run_id, prompt_id in runs.values_list("pk", "prompt"):
        found.setdefault(prompt_id, []).append(run_id)
    return found


def _note_enqueued(run_ids: Sequence[uuid.UUID]) -> None:
    Run.objects.filter(pk__in=run_ids, status=RunStatus.QUEUED, enqueued_at=None).update(enqueued_at=Now())
