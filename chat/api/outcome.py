"""How an answer begins and ends, as the API's formats show it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any, Final

from chat.api.errors import ApiError, of_run
from chat.models import ACTIVE, CallStatus, Finish, Message, Reasoning, Run, RunStatus, ToolCall
from chat.runs.step_rows import RETURNED

_FINISHES: Final = {Finish.LENGTH.value: "length", Finish.FILTERED.value: "content_filter"}
# Codes of runs that were cut at a limit of the site: the text so far is an answer, as one cut at `max_tokens` is.
_CUT: Final = frozenset({"answer_too_long", "quota_exceeded", "no_answer", "tool_limit"})


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that was accepted. `created` is in seconds since 1970."""

    run_id: uuid.UUID
    conversation_id: uuid.UUID
    model: str
    created: int


@dataclass(frozen=True, slots=True)
class ReturnedCall:
    """A call of a function that the program makes."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that has ended. `error` is why its answer is not whole; then there may be text all the same.

    `finish`: stop, length, content_filter, or tool_calls with `calls` for the program.
    """

    text: str
    reasoning: str
    finish: str
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    error: ApiError | None = None
    calls: tuple[ReturnedCall, ...] = ()
    logprobs: list[dict[str, Any]] | None = None

    def cut_at(self, text: str) -> Outcome:
        """The outcome of an answer that the caller ended itself after `text`."""
        return replace(self, text=text, finish="stop", error=None, calls=())


def read_calls(run: Run) -> tuple[ReturnedCall, ...]:
    """The calls that a run has returned to its program. None of a run that has failed or was stopped."""
    if run.status != RunStatus.DONE or not run.step_count:
        return ()
    rows = ToolCall.objects.filter(run=run, status=CallStatus.OK, output=RETURNED).order_by("place")
    return tuple(ReturnedCall(row.upstream_id, row.name, row.arguments or "{}") for row in rows)


def read_outcome(run_id: uuid.UUID, form_name: str = "response_format") -> Outcome | None:
    """How a run has ended; None while it is in progress, and an `Outcome` with an error once it was deleted."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return Outcome("", "", "stop", 0, 0, 0, of_run("", "The conversation was deleted."))
    if run.status in ACTIVE:
        return None
    text = Message.objects.values_list("text", flat=True).get(pk=run.message_id)
    reasoning = Reasoning.objects.filter(run=run_id).values_list("text", flat=True).first() or ""
    finish = _FINISHES.get(run.finish, "stop")
    error = None
    if run.status != RunStatus.DONE:
        if run.error_code == "moderated" and text:
            finish = "content_filter"
        elif run.error_code in _CUT and text:
            finish = "length"
        elif run.status == RunStatus.STOPPED and not run.error_code:
            error = ApiError(409, "The answer was stopped.", code="stopped", retry=False)
        else:
            error = of_run(run.error_code, run.error_message, form_name)
    calls = read_calls(run)
    return Outcome(
        text, reasoning, "tool_calls" if calls else finish, run.input_tokens or 0, run.output_tokens or 0,
        run.reasoning_tokens, error, calls,
    )  # fmt: skip
