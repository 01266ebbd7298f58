"""Texts that are shown before judges have read them. Sync.

They are messages that ask nobody, edits in place, what was asked and answered while a judge gave no verdict or its
worker was lost, and answers to questions that were withheld after they had been answered. Who stores such a text notes
it (`Unjudged`). The workers take these rows, a few at a time; a row that its worker did not finish is taken again,
after a minute at first, and once an hour after a long outage. The verdict is applied as one transaction: the case, what
is withheld, and the end of the row.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from chat.models import Message, MessageRole, Revision, RevisionKind, Run, RunStatus, ToolCall, Unjudged
from chat.models.moderation import Action, CaseTarget, DecisionKind, Direction, ModerationDecision
from chat.moderation.cases import Finding, lock_message_cases, open_case, shown_moderation
from chat.moderation.rewriting import rewrite_message
from chat.moderation.withheld_questions import judge_answers, thinking_of
from chat.runs.unread import judge_later, note_read

AGAIN_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 3600.0  # between two tries during a long outage

_TAKE: Final = """
UPDATE chat_unjudged u SET next_try_at = clock_timestamp() + make_interval(
    secs => GREATEST(%s, LEAST(%s, EXTRACT(EPOCH FROM clock_timestamp() - u.created_at) / 10))
)
FROM chat_message m
WHERE m.id = u.message_id AND u.message_id IN (
    SELECT message_id FROM chat_unjudged WHERE next_try_at <= clock_timestamp()
    ORDER BY next_try_at LIMIT %s FOR UPDATE SKIP LOCKED
)
RETURNING u.message_id, u.created_at, m.conversation_id, m.role, m.text
"""


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text to be judged. `noted_at` tells it from a later text of the same message."""

    message_id: uuid.UUID
    noted_at: datetime
    conversation_id: uuid.UUID
    role: str
    text: str

    @property
    def answered(self) -> bool:
        return self.role == MessageRole.ASSISTANT

    @property
    def age(self) -> float:
        """Seconds since it was written."""
        return (timezone.now() - self.noted_at).total_seconds()


def note_unjudged(message_id: uuid.UUID) -> None:
    """A judge gave no verdict about a message that is there already: it is judged later."""
    if Message.objects.filter(pk=message_id, deleted_at=None).exclude(text="").exists():
        judge_later(message_id)


def judge_all_now() -> int:
    """All texts that wait for a judge are judged within seconds. Returns how many wait."""
    soon = timezone.now() + timedelta(seconds=AGAIN_SECONDS)
    Unjudged.objects.filter(next_try_at__gt=soon).update(next_try_at=timezone.now())
    return Unjudged.objects.count()


def take_unjudged(limit: int) -> list[ShownText]:
    """Takes up to `limit` texts; no other worker gets them for `AGAIN_SECONDS`, or a tenth of their age."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [AGAIN_SECONDS, LONGEST_SECONDS, limit])
        return [ShownText(*row) for row in cursor.fetchall()]


def note_judged(shown: ShownText) -> None:
    """The text needs no verdict any more; a later one of the same message does."""
    note_read(shown.message_id, shown.noted_at)


def read_call_texts(message_id: uuid.UUID) -> str:
    """What tools were given and returned for an answer."""
    calls = ToolCall.objects.filter(run__message=message_id).order_by("step__number", "place")
    return "\n\n".join(text for call in calls.values_list("arguments", "output") for text in call if text)


def was_released(shown: ShownText) -> bool:
    """Whether a reviewer has released the message since it was noted: they have read this text."""
    decisions = ModerationDecision.objects.filter(kind=DecisionKind.RELEASE, decided_at__gt=shown.noted_at)
    return decisions.filter(case__target=CaseTarget.MESSAGE, case__target_id=shown.message_id).exists()


def apply_finding(shown: ShownText, finding: Finding) -> bool:
    """Opens the case of a text, and takes the text away where the finding holds or blocks it. One transaction.

    False: the message has another text by now, or none, and nothing was done. After the commit of a True with a
    finding that holds or blocks, the caller publishes the rewriting.
    """
    with transaction.atomic():
        lock_message_cases(shown.message_id)
        # In the order of every end of a run: the run's row, then the message's. The answers to a question end so, too.
        answering = Run.objects.filter(prompt_id=shown.message_id, status=RunStatus.RUNNING)
        list(answering.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
        run = Run.objects.select_for_update(of=("self",)).filter(message_id=shown.message_id, latest=True).first()
        message = Message.objects.select_for_update(no_key=True, of=("self",)).filter(pk=shown.message_id).first()
        if message is None or message.deleted_at is not None or message.text != shown.text:
            note_judged(shown)
            return False
        case = open_case(
            CaseTarget.MESSAGE,
            message.pk,
            finding,
            direction=Direction.ANSWERED if shown.answered else Direction.ASKED,
            original=message.text,
            original_reasoning=thinking_of(message.pk) if shown.answered and message.edited_at is None else "",
            person_id=_writer_of(message, run),
            conversation_id=message.conversation_id,
        )
        if finding.action in (Action.HOLD, Action.BLOCK):
            if not shown.answered:  # an answer to it may be under way: its worker stops within seconds
                answers = Run.objects.filter(prompt_id=message.pk, status=RunStatus.RUNNING, stop_requested_at=None)
                answers.update(stop_requested_at=Now())
            rewrite_message(
                message.pk, "", shown_moderation(case), reasoning="" if shown.answered else None, publish=False
            )
            if not shown.answered:
                judge_answers(message)
        note_judged(shown)
        return True


def withdraw_thinking(shown: ShownText) -> bool:
    """Takes away what a model thought for an answer, and leaves the text, which a person has written and judges still
    have to read. One transaction; the caller publishes the rewriting. False: the message has another text by now.
    """
    with transaction.atomic():
        lock_message_cases(shown.message_id)
        message = Message.objects.filter(pk=shown.message_id, deleted_at=None, text=shown.text).first()
        if message is not None:
            rewrite_message(message.pk, message.text, message.moderation, reasoning="", publish=False)
            judge_later(message.pk)
        return message is not None


def _writer_of(message: Message, run: Run | None) -> uuid.UUID | None:
    """Who wrote the text: who edited it last, else the author, else who asked for the answer."""
    edits = Revision.objects.filter(message=message, kind=RevisionKind.EDITED).order_by("-changed_at")
    editor = edits.values_list("changed_by", flat=True).first()
    return editor or message.author_id or (run.requested_by_id if run is not None else None)
