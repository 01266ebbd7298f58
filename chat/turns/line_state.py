"""Which message of a waiting line is due, and why the others wait."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.lib.texts import gettext_noop
from chat.conversations.branches import newest_leaf
from chat.models import (
    ACTIVE,
    Conversation,
    Message,
    MessageRole,
    MessageStatus,
    QueuedMessage,
    QueuedState,
    Run,
    RunStatus,
    WaitingFor,
)
from chat.moderation.screening import mask_refused
from chat.protocol.errors import ChatError, Forbidden, NotFound
from chat.turns.comparing import is_open, preferred
from chat.turns.line_rows import lock, revise, waiting_rows

FAILED: Final = "failed"
STOPPED: Final = "stopped"
UNWATCHED: Final = "unwatched"
BEHIND: Final = "behind"
DELETED: Final = "deleted"
SENTENCES: Final = {
    FAILED: gettext_noop("The answer before it failed."),
    STOPPED: gettext_noop("The answer before it was stopped."),
    UNWATCHED: gettext_noop("The answer before it was stopped because nobody had this conversation open."),
    BEHIND: gettext_noop("It waits for the message of the same author before it."),
    DELETED: gettext_noop("The conversation was deleted meanwhile."),
    "not_found": gettext_noop("Its author is not a member of this conversation any more."),
    "viewer": gettext_noop("Its author can only read this conversation now."),
}
OF_THE_LINE: Final = ("", FAILED, STOPPED, UNWATCHED, BEHIND)  # reasons that end by what happens before the message
RETRY_SECONDS: Final = 5.0  # at least, after a refusal that may pass

# Conversations with a message that nobody sends although nothing is in progress: its process has ended. A message that
# waits after a failure or a stop may be due if a run has ended since.
_HAS_WAITING: Final = PreparedStatement(
    "SELECT EXISTS (SELECT FROM chat_queuedmessage WHERE conversation_id = %(conversation)s AND state = 'waiting')",
    {"conversation": "uuid"},
)
_OVERDUE: Final = """
SELECT q.conversation_id FROM chat_queuedmessage q JOIN chat_conversation c ON c.id = q.conversation_id
WHERE q.state = 'waiting' AND q.changed_at < clock_timestamp() - make_interval(secs => %(seconds)s) AND (
    q.reason = '' OR q.retry_at < clock_timestamp()
    OR c.deleted_at IS NULL AND q.reason IN ('failed', 'stopped', 'unwatched') AND EXISTS (
        SELECT FROM chat_run r WHERE r.conversation_id = q.conversation_id AND r.finished_at > q.changed_at)
    OR c.deleted_at IS NULL AND q.reason = 'behind' AND NOT EXISTS (
        SELECT FROM chat_queuedmessage b WHERE b.conversation_id = q.conversation_id AND b.author_id = q.author_id
        AND b.state = 'waiting' AND b.position < q.position
        AND b.reason NOT IN ('', 'failed', 'stopped', 'unwatched', 'behind')))
    AND (c.deleted_at IS NOT NULL OR NOT EXISTS (
        SELECT FROM chat_run r WHERE r.conversation_id = q.conversation_id
        AND r.status IN ('waiting', 'queued', 'running')))
GROUP BY q.conversation_id ORDER BY min(q.changed_at) LIMIT %(limit)s
"""


class BranchState(StrEnum):
    """What has become of the newest answer of a branch."""

    FREE = "free"  # it is complete, or nobody was asked
    BUSY = "busy"
    STOPPED = "stopped"
    UNWATCHED = "unwatched"  # stopped, since nobody had the conversation open (`workers.runtime.unwatched`)
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Branch:
    """Where the next message of a branch goes, and whether it may."""

    leaf: uuid.UUID | None
    state: BranchState
    active: Sequence[Run] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done in a line now: send a message, or stop the answer before one that steers."""

    row: QueuedMessage | None = None
    parent_id: uuid.UUID | None = None
    stop: list[uuid.UUID] = field(default_factory=list)  # runs


def has_waiting(conversation_id: uuid.UUID) -> bool:
    """Whether any message waits in a conversation."""
    with connection.cursor() as cursor:
        _HAS_WAITING.execute(cursor, {"conversation": conversation_id})
        return bool(cursor.fetchone()[0])


def overdue_lines(seconds: float, limit: int = 100) -> list[uuid.UUID]:
    """Conversations in whose line nothing has happened for so many seconds although something is due."""
    with connection.cursor() as cursor:
        cursor.execute(_OVERDUE, {"seconds": seconds, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def find_due(conversation_id: uuid.UUID) -> Due:
    """The first message that may be sent, if any; notes in the others why they wait on.

    A message whose sending was refused holds up those of its author behind it, and nobody else's.
    """
    with transaction.atomic():
        try:
            conversation = lock(conversation_id)
        except NotFound:
            _note_deleted(conversation_id)
            return Due()
        return _first_due(conversation)


def _first_due(conversation: Conversation) -> Due:
    branches: dict[tuple[uuid.UUID | None, str | None], Branch] = {}
    refused: set[tuple[uuid.UUID, uuid.UUID | None]] = set()  # author, end of the branch
    due, stop = None, []
    for row in waiting_rows(conversation.pk):
        wanted = row.command.get("parent_id")
        if (row.after_id, wanted) not in branches:
            branches[row.after_id, wanted] = find_branch(conversation, row.after_id, wanted)
        branch = branches[row.after_id, wanted]
        its_place = (row.author_id, branch.leaf)
        if row.reason not in OF_THE_LINE and (row.retry_at is None or row.retry_at > timezone.now()):
            refused.add(its_place)
        elif its_place in refused:
            _note(row, BEHIND)
        elif branch.state is BranchState.BUSY:
            if row.steers:
                stop += [run.pk for run in branch.active if run.stop_requested_at is None and _can_stop(run)]
        elif branch.state is not BranchState.FREE and not row.steers:
            _note(row, branch.state.value)
        elif due is None:
            due = Due(row, branch.leaf)
    return due or Due(stop=stop)


def _can_stop(run: Run) -> bool:
    """A question that waits for a reviewer would be withdrawn."""
    return run.waiting_for != WaitingFor.MODERATION


def find_branch(conversation: Conversation, after_id: uuid.UUID | None, wanted: str | None = None) -> Branch:
    """The newest path below a message, or below the conversation's newest one. `wanted`: the id of the message that the
    command names, which may be one of several answers side by side.
    """
    start = after_id or conversation.tip_id
    if start is None:
        return Branch(None, BranchState.FREE)
    leaf = Message.objects.get(pk=newest_leaf(conversation.pk, start))
    questions, answer = _above(leaf)
    active = list(Run.objects.filter(prompt__in=questions, status__in=ACTIVE))
    if active or leaf.status in (MessageStatus.PENDING, MessageStatus.STREAMING):
        return Branch(leaf.pk, BranchState.BUSY, active)
    run: Run | None = None
    if answer is leaf and answer.parent_id is not None and is_open(answer.parent_id):
        beside = Run.objects.filter(prompt=answer.parent_id, slot__gt=0, latest=True)
        run = (beside.filter(message=uuid.UUID(wanted)).first() if wanted else None) or preferred(answer.parent_id)
        leaf = run.message
    elif answer is not None:
        run = Run.objects.filter(message=answer, latest=True).first()
    if run is None or run.status == RunStatus.DONE:
        return Branch(leaf.pk, BranchState.FREE)
    if run.status != RunStatus.STOPPED:
        return Branch(leaf.pk, BranchState.FAILED)
    return Branch(leaf.pk, BranchState.UNWATCHED if run.error_code == UNWATCHED else BranchState.STOPPED)


def _above(leaf: Message) -> tuple[list[uuid.UUID], Message | None]:
    """The questions at the end of a branch, of which an answer may be in progress, and the answer there, if any."""
    questions: list[uuid.UUID] = []
    at: Message | None = leaf
    while at is not None and at.role == MessageRole.USER:
        questions.append(at.pk)
        at = at.parent
    if at is not None and at.parent_id is not None:
        questions.append(at.parent_id)
    return questions, at


def note_refused(row: QueuedMessage, error: ChatError) -> None:
    """A message could not be sent: it waits with the reason. One that a rule refuses is shown without the hits."""
    with transaction.atomic():
        try:
            lock(row.conversation_id)
        except NotFound:
            return  # deleted: the next round notes it
        current = QueuedMessage.objects.filter(pk=row.pk, revision=row.revision, state=QueuedState.WAITING).first()
        if current is None:
            return  # changed or sent meanwhile
        reason, sentence = _reason_of(error)
        retry_at = None
        if error.retryable:
            retry_at = timezone.now() + timedelta(seconds=max(error.retry_after or 0, RETRY_SECONDS))
        shown = mask_refused(current.text, current.author_id) if reason == "moderated" else current.shown
        steers = current.steers and error.retryable
        revise(current, reason=reason, sentence=sentence, retry_at=retry_at, shown=shown, steers=steers)


def _reason_of(error: ChatError) -> tuple[str, str]:
    """The code and the sentence that members see, who are not only the author."""
    if isinstance(error, NotFound):
        return "not_found", SENTENCES["not_found"]
    if isinstance(error, Forbidden) and error.message == Forbidden.default_message:
        return "forbidden", SENTENCES["viewer"]
    return error.code, error.message


def _note(row: QueuedMessage, reason: str) -> None:
    if row.reason != reason:
        revise(row, reason=reason, sentence=SENTENCES[reason], retry_at=None)
    else:  # looked at, for the same reason: otherwise recovery would find it overdue for ever
        QueuedMessage.objects.filter(pk=row.pk).update(changed_at=Now())


def _note_deleted(conversation_id: uuid.UUID) -> None:
    for row in waiting_rows(conversation_id):
        if row.reason in OF_THE_LINE or row.retry_at is not None:
            _note(row, DELETED)
