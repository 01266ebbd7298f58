"""Stores steps and results that were screened: each in one transaction with the cases of what they lack. Sync."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from django.db import transaction

from accounts.lib.ids import uuid7
from chat.models import CallStatus, Message, ModerationCase, Step, ToolCall, ToolFile
from chat.models.moderation import CaseTarget, Direction
from chat.moderation.cases import lock_message_cases, open_case, shown_moderation
from chat.runs import step_rows
from chat.runs.context import ClaimedRun
from chat.runs.step_rows import CallEnd, EndedCall, ModelStep
from workers.generation.screening import STOPPED
from workers.generation.steps.screening import (
    ARGUMENTS_WITHHELD,
    ENTERED_WITHHELD,
    RESULT_WITHHELD,
    CallWithheld,
    Found,
    ScreenedCall,
    ScreenedEnd,
)

NOT_MADE: Final = CallEnd(CallStatus.ERROR.value, ARGUMENTS_WITHHELD, len(ARGUMENTS_WITHHELD))


def record_model_step(
    run: ClaimedRun,
    owner: str,
    done: ModelStep,
    calls: Sequence[ScreenedCall],
    moderate: Callable[[], Mapping[str, str]] | None = None,
    images: ScreenedEnd | None = None,
) -> tuple[Step, Step] | None:
    """`step_rows.record_model_step` of a step with these calls. One whose arguments are withheld has ended with it.

    `moderate` opens the case of what the answer's text lacks so far, and returns what `Message.moderation` says of it.
    `images` are those that the model made: the end of the last one of `calls`.
    """
    with transaction.atomic():
        lock_message_cases(run.message_id)
        recorded = step_rows.record_model_step(run, owner, done)
        if recorded is None:
            return None
        said = dict(moderate()) if moderate is not None else {}
        for place, (_, found) in enumerate(calls):
            if found is None:
                continue
            call_id = ToolCall.objects.values_list("pk", flat=True).get(model_step=recorded[0], place=place)
            case = _open(run, CaseTarget.CALL, call_id, found)
            if found.withholds:
                not_made = CallEnd(CallStatus.ERROR.value, ARGUMENTS_WITHHELD, len(ARGUMENTS_WITHHELD))
                step_rows.end_call(run, owner, call_id, not_made)
                said = shown_moderation(case)
        note_on_answer(run, said)
        if images is not None:
            made = ToolCall.objects.values_list("pk", flat=True).get(model_step=recorded[0], place=len(calls) - 1)
            end_call(run, owner, made, images)
        return recorded


def end_call(run: ClaimedRun, owner: str, call_id: uuid.UUID, screened: ScreenedEnd) -> EndedCall | None:
    """`step_rows.end_call`, with the cases of what is missing in the result and in its files."""
    with transaction.atomic():
        ended = step_rows.end_call(run, owner, call_id, screened.end)
        if ended is None:
            return None
        said: dict[str, str] = {}
        if screened.found is not None:
            case = _open(run, CaseTarget.RESULT, call_id, screened.found)
            said = shown_moderation(case) if screened.found.withholds else {}
        files = ToolFile.objects.filter(call=call_id).values_list("pk", "name", "size")
        stored = list(files) if screened.files else []
        for place, found in screened.files.items():
            case = _open(run, CaseTarget.FILE, _file_id(stored, screened.end, place), found, Direction.FILES)
            said = shown_moderation(case) if found.withholds else said
        note_on_answer(run, said)
        return ended


def open_question_case(run: ClaimedRun, call_id: uuid.UUID, found: Found) -> ModerationCase:
    """The case of a question that a tool asks."""
    with transaction.atomic():
        return _open(run, CaseTarget.RESULT, call_id, found)


def check_none_withheld(steps: Iterable[Step]) -> None:
    """Raises `CallWithheld` if a call of these steps stops the answer: what it was given or its result is withheld."""
    withheld = (ARGUMENTS_WITHHELD, RESULT_WITHHELD, ENTERED_WITHHELD)
    if any(call.output in withheld for step in steps for call in step.calls.all()):
        raise CallWithheld(STOPPED)


def _open(
    run: ClaimedRun, target: CaseTarget, target_id: uuid.UUID, found: Found, direction: Direction = Direction.ANSWERED
) -> ModerationCase:
    return open_case(
        target, target_id, found.finding, direction=direction, original=found.original, person_id=run.user_id,
        conversation_id=run.conversation_id,
    )  # fmt: skip


def _file_id(stored: Sequence[tuple[uuid.UUID, str, int]], end: CallEnd, place: int) -> uuid.UUID:
    """The id of the file at a place of a result. One that was withheld was never stored."""
    name, _, content = end.files[place] if place < len(end.files) else ("", "", b"")
    return next((pk for pk, *known in stored if known == [name, len(content)]), uuid7())


def note_on_answer(run: ClaimedRun, said: Mapping[str, str]) -> None:
    """What `Message.moderation` of the answer says from now on, if there is something to say."""
    if said:
        Message.objects.filter(pk=run.message_id).update(moderation=dict(said))
