"""A request of the API as a model gets it: its messages, calls and results, and its functions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from chat.protocol.functions import CALL, RESULT
from chat.runs.claims import Claim
from chat.runs.exact_request import ExactRequest
from workers.generation.tool_use.requests import StepRequest
from workers.providers.base import CallChoice, ChatTurn, Replay, RequestedCall, ToolImage, ToolSpec
from workers.providers.form import AnswerForm

NO_IMAGES: Final[Mapping[int, Sequence[ToolImage]]] = {}


def exact_turns(
    request: ExactRequest, images: Mapping[int, Sequence[ToolImage]] = NO_IMAGES, unfinished: str = ""
) -> list[ChatTurn]:
    """The turns. Calls belong to the message of the assistant before them, and are one without text where there is
    none. `unfinished`: an answer that is to be continued.
    """
    turns: list[ChatTurn] = []
    calls: list[RequestedCall] = []
    names: dict[str, str] = {}
    said: ChatTurn | None = None

    def close() -> None:
        nonlocal said
        if said is not None or calls:
            back = next((request.replays[one.id] for one in calls if one.id in request.replays), None)
            replay = msgspec.convert(back, Replay) if back is not None else None
            turns.append(ChatTurn("assistant", said.content if said else "", calls=tuple(calls), replay=replay))
        said = None
        calls.clear()

    for at, (role, text) in enumerate(request.path):
        call_id, name = request.notes.get(at, ("", ""))
        if role == CALL:
            names[call_id] = name
            calls.append(RequestedCall(call_id, name, text))
            continue
        close()
        if role == RESULT:
            turns.append(ChatTurn("tool", text, call_id=call_id, name=name or names.get(call_id, "")))
        elif role == "assistant":
            said = ChatTurn(role, text)
        else:
            turns.append(ChatTurn(role, text, images=images.get(at, ())))
    close()
    return [*turns, ChatTurn("assistant", unfinished)] if unfinished else turns


def functions_of(claim: Claim) -> StepRequest:
    """What the first request of a run offers: the functions of the program that asks. Those that it has called before
    and does not offer any more are named, because some APIs refuse calls of tools that they do not know.
    """
    request = claim.exact
    if request is None:
        return StepRequest()
    if not request.functions:
        called = sorted({request.notes[at][1] for at, (role, _) in enumerate(request.path) if role == CALL})
        gone = [
            ToolSpec(name, "This tool cannot be called any more.", {"type": "object"}, exact=True) for name in called
        ]
        return StepRequest(gone, call_no_more=True) if gone else StepRequest()
    tools = [ToolSpec(one.name, one.description, one.parameters, True, one.strict) for one in request.functions]
    wish = str(claim.asked.get("choice") or "")
    choice = CallChoice(
        required=wish == "required" or wish.startswith("="),
        name=wish.removeprefix("=") if wish.startswith("=") else "",
        one=bool(claim.asked.get("one_call")),
        needed=wish != "none",
    )
    return StepRequest(tools, call_no_more=wish == "none", choice=choice)


def form_of(claim: Claim) -> AnswerForm | None:
    """The form that the program wants the answer to have."""
    form = claim.exact.form if claim.exact is not None else None
    return None if form is None else AnswerForm(form.schema, form.name, form.description, form.strict, form.text)
