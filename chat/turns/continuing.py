"""The transaction of `message.continue`: an answer that was cut gets another run, which writes on in the same message.

`accept_continue` reads top to bottom like `chat.turns.accept.accept`: find → check → insert → reserve → events.
"""

from __future__ import annotations

import uuid
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.catalog.access import choose_model
from chat.conversations.member_branches import keep_branches
from chat.conversations.membership import member_of
from chat.eventlog import events
from chat.eventlog.payloads import MODERATED, is_continuable
from chat.eventlog.store import Append
from chat.models import UNDER_WAY, Conversation, Member, Message, MessageRole, MessageStatus, Run, Submission
from chat.moderation.screening import check_not_withheld
from chat.protocol.commands import MessageContinue
from chat.protocol.errors import Busy, Invalid, NotFound
from chat.runs.clock import database_time
from chat.telemetry import tracing
from chat.turns.accepted import Accepted, Check, accept_any, find_known, fingerprint_of
from chat.turns.api_requests import count_for_token
from chat.turns.changing import check_not_deleted
from chat.turns.comparing import is_open
from chat.turns.limits import check_runs_under_way, reserve_quota
from chat.turns.statements import lock_sender

COMPLETE: Final = gettext_noop("This answer is complete, so there is nothing to continue.")
FILTERED: Final = gettext_noop("The provider's content filter ended this answer. It can't be continued.")
EMPTY: Final = gettext_noop("This answer has no text to continue. Try again instead.")
TOO_LONG: Final = gettext_noop("This answer has reached its maximum length.")
ANSWERED: Final = gettext_noop("The conversation has gone on since. Only its last answer can be continued.")
MODERATED_ANSWER: Final = gettext_noop("This answer was stopped because of this site's rules. It can't be continued.")
IMPORTED: Final = gettext_noop("This answer was not written here, so it can't be continued.")


def accept_continue(
    user_id: uuid.UUID, command: MessageContinue, check: Check = accept_any, token_id: uuid.UUID | None = None
) -> Accepted:
    """Carries out `message.continue` in one transaction. The same (user, `client_id`) gives the same run.

    Any member who may write may continue an answer; the run counts in their own quotas. `check` and `token_id` are as
    in `accept`. Raises `ChatError`s.
    """
    fingerprint = fingerprint_of(command)
    known = find_known(user_id, command.client_id, fingerprint, continues=True)
    if known is not None:
        return known
    try:
        with transaction.atomic():
            message, before = _lock_answer(user_id, command.message_id)
            metered = lock_sender(user_id)
            check(message.conversation_id)
            _check_continuable(message, before)
            check_runs_under_way(Run.objects.filter(requested_by_id=user_id, status__in=UNDER_WAY).count())
            run = _insert(user_id, command, fingerprint, message, before)
            if token_id is not None:
                count_for_token(token_id)
            run.requested_by = User.objects.get(pk=user_id)  # whom pages show as the one who asked
            if metered:
                reserve_quota(user_id, run, text=message.text)
            return _accepted(message, run)
    except IntegrityError as error:
        known = find_known(user_id, command.client_id, fingerprint, continues=True)
        if known is not None:
            return known
        if "run_one_active_per_branch" in str(error) or "run_part_once" in str(error):
            raise Busy from None
        raise


def _lock_answer(user_id: uuid.UUID, message_id: uuid.UUID) -> tuple[Message, Run]:
    """An answer and its latest run, with the conversation locked against other turns."""
    conversation_id = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound
    member_of(user_id, conversation_id, write=True)
    Conversation.objects.select_for_update().filter(pk=conversation_id).first()
    message = Message.objects.select_related("conversation").filter(pk=message_id).first()
    if message is None:  # the purge deleted it a moment ago
        raise NotFound
    if message.role != MessageRole.ASSISTANT:
        raise Invalid(_("Only answers can be continued."))
    run = Run.objects.select_related("prompt").filter(message_id=message_id, latest=True).first()
    if run is None:
        raise Invalid(IMPORTED)
    check_not_withheld(run.prompt)
    check_not_deleted(run.prompt)
    return message, run


def _check_continuable(message: Message, run: Run) -> None:
    """Refuses with the reason why the answer cannot be continued."""
    active = Run.objects.filter(prompt=run.prompt_id, status__in=UNDER_WAY)
    if run.slot and is_open(run.prompt_id):
        active = active.filter(slot=run.slot)  # the answers beside it do not count
    if active.exists():
        raise Busy  # this answer, or another version of it
    if not is_continuable(message, run):
        if run.error_code == MODERATED:
            raise Invalid(MODERATED_ANSWER)
        if not message.text.strip():
            raise Invalid(EMPTY)
        if message.status != MessageStatus.COMPLETE or run.finish == "length":
            raise Invalid(TOO_LONG)
        raise Invalid(FILTERED if run.finish == "filtered" else COMPLETE)
    if Message.objects.filter(parent_id=message.pk).exists():
        raise Invalid(ANSWERED)


def _insert(user_id: uuid.UUID, command: MessageContinue, fingerprint: bytes, message: Message, before: Run) -> Run:
    """Writes the new run, and opens the message again. The text stays as it is until the worker extends it."""
    run = Run(
        conversation_id=message.conversation_id,
        prompt_id=before.prompt_id,
        message_id=message.pk,
        requested_by_id=user_id,
        model=choose_model(user_id, before.model),
        effort=before.effort,
        parameters={name: before.parameters[name] for name in ("asked",) if name in before.parameters},
        part=before.part + 1,
        slot=before.slot,
        base_chars=len(message.text),
        trace_id=tracing.trace_id(command.traceparent or tracing.current.get()),
    )
    run.created_at = database_time()  # all times of runs are by the database's clock
    run.enqueued_at = run.created_at
    Run.objects.filter(pk=before.pk).update(latest=False)
    run.save(force_insert=True)
    message.status, message.html = MessageStatus.PENDING, ""
    message.save(update_fields=["status", "html"])
    Submission.objects.create(
        user_id=user_id,
        client_id=command.client_id,
        fingerprint=fingerprint,
        conversation_id=message.conversation_id,
        message_id=message.pk,
        run_id=run.pk,
    )
    keep_branches(message.conversation_id, user_id, [message.pk])
    Conversation.objects.filter(pk=message.conversation_id).update(tip_id=message.pk, updated_at=Now())
    return run


def _accepted(message: Message, run: Run) -> Accepted:
    """The result, with the events that announce it."""
    conversation = message.conversation
    announced = [events.answer_continued(message, run), events.run_queued(run, attempt=1)]
    return Accepted(
        conversation.pk,
        message.pk,
        run.pk,
        [Append(conversation.pk, announced, run.pk, attempt=0, number=1)],
        (),
        list(Member.objects.filter(conversation=conversation).values_list("user_id", flat=True)),
        {
            "conversation_id": str(conversation.pk),
            "title": conversation.title,
            "updated_at": run.created_at.isoformat(),
            "temporary": conversation.temporary,
        },
        continues=True,
    )
