"""Calls of a program's functions: an answer of the API ends with them, and the program makes them itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from accounts.lib.texts import gettext_noop
from chat.models import CallStatus, Finish, RunStatus, ToolCall
from chat.runs.step_rows import RETURNED, CallEnd
from workers.generation.answer import ModelAnswer
from workers.generation.outcome import Outcome
from workers.generation.steps.calls import Calls
from workers.generation.steps.checks import MOST_CALLS
from workers.tools.base import MAX_ARGUMENTS_CHARS

TOO_LONG: Final = gettext_noop("The model called functions too often at once, or with arguments that are too long.")


def check_returned(answer: ModelAnswer) -> Outcome | None:
    """Why the calls of an answer cannot be returned; None: they can. Of several only the first is kept, if the program
    wants one.
    """
    if answer.request.choice.one:
        answer.calls = answer.calls[:1]
    if len(answer.calls) > MOST_CALLS or any(len(call.arguments) > MAX_ARGUMENTS_CHARS for call in answer.calls):
        return Outcome(RunStatus.FAILED, "calls_too_long", TOO_LONG)
    return None


async def return_calls(making: Calls, opened: Sequence[ToolCall], first_token_ms: int | None) -> Outcome:
    """Ends the calls that have no result yet, and the answer with them."""
    for call in opened:
        await making.end(call, CallEnd(CallStatus.OK.value, RETURNED, len(RETURNED)))
    return Outcome(RunStatus.DONE, finish=Finish.STOP.value, first_token_ms=first_token_ms)
