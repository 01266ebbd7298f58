"""Calls that cannot be made as the model asks for them: each gets a result that says so, and the others go on. Pure."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chat.models import ToolCall, ToolEffect
from chat.runs.step_rows import NewCall
from chat.runs.tool_rules import own_name
from workers.generation.tool_use.outputs import clean
from workers.providers.base import RequestedCall
from workers.tools.base import MAX_ARGUMENTS_CHARS, Tool

MOST_CALLS: Final = 32  # of one request; more are not made
TOLD: Final = 3  # the same call so many times: the model is told not to
TOO_OFTEN: Final = 5  # likewise: it is asked for its answer
_NAME_CHARS: Final = 128
_ID_CHARS: Final = 200


def as_new_calls(requested: Sequence[RequestedCall], tools: Mapping[str, Tool]) -> list[NewCall]:
    """The calls as they are stored: bounded, and each with an id of its own."""
    made: list[NewCall] = []
    ids: set[str] = set()
    for place, call in enumerate(requested[:MOST_CALLS]):
        upstream_id = clean(call.id)[:_ID_CHARS] or f"call_{place}"
        if upstream_id in ids:
            upstream_id = f"{upstream_id[: _ID_CHARS - 4]}_{place}"
        ids.add(upstream_id)
        name = clean(call.name)[:_NAME_CHARS] or "?"
        # A longer text than may be sent stays too long, so that the check refuses it.
        arguments = clean(call.arguments)[: MAX_ARGUMENTS_CHARS + 1]
        tool = tools.get(name)
        if tool is None:
            made.append(NewCall(upstream_id, name, arguments, effect="reads"))
        else:
            made.append(NewCall(upstream_id, name, arguments, tool.title[:200], tool.server, tool.effect))
    return made


def tool_of(call: ToolCall, tools: Mapping[str, Tool]) -> Tool | None:
    """The tool that a call is of; None: it is not offered any more.

    While a call waits, the same name may have become that of another server's tool, which nobody has allowed, and the
    call's own may have got another one.
    """
    tool = tools.get(call.name)
    if tool is not None and tool.server == call.server:
        return tool
    own = own_name(call.name, call.server)
    found = (one for one in tools.values() if one.server == call.server and own_name(one.name, one.server) == own)
    return next(found, None) if call.server else None


def writes(call: ToolCall, tool: Tool) -> bool:
    """Whether a call changes or sends something: by what was known of its tool when it was asked for, or is now."""
    return ToolEffect.WRITES in (call.effect, tool.effect)


def refusal(call: ToolCall, tools: Mapping[str, Tool]) -> str:
    """Why a call cannot be made, for the model; empty: it can."""
    if tool_of(call, tools) is None:
        known = ", ".join(sorted(tools)[:40])
        return f"There is no tool with this name. The tools are: {known}." if known else "There are no tools any more."
    if len(call.sent_arguments) > MAX_ARGUMENTS_CHARS:
        return f"The arguments are too long: at most {MAX_ARGUMENTS_CHARS:,} characters are sent."
    found = read_arguments(call.sent_arguments)
    return found if isinstance(found, str) else ""


def read_arguments(text: str) -> dict[str, Any] | str:
    """The arguments of a call, or why they are none. No text at all means: no arguments."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return "The arguments are no valid JSON; perhaps they were cut. Call again with a complete JSON object."
    if not isinstance(found, dict):
        return f"The arguments must be a JSON object, not {_KINDS.get(type(found), 'another value')}."
    return found


_KINDS: Final = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value"}


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def canonical(call: ToolCall) -> tuple[str, str]:
    """What makes two calls the same."""
    found = read_arguments(call.arguments)
    try:
        arguments = call.arguments if isinstance(found, str) else json.dumps(found, sort_keys=True, ensure_ascii=False)
    except RecursionError:  # nested so deeply that it can be read, but not written
        arguments = call.arguments
    return call.name, arguments


class Repetitions:
    """How often an answer has asked for the same call. `too_many`: so often that it may make no more."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._told: dict[uuid.UUID, str] = {}
        self.too_many = False

    def note(self, call: ToolCall) -> str:
        """Counts a call, once. What the model is told instead of a result; empty: the call may be made."""
        if call.pk not in self._told:
            self._counts[canonical(call)] += 1
            times = self._counts[canonical(call)]
            self.too_many = self.too_many or times >= TOO_OFTEN
            self._told[call.pk] = "" if times < TOLD else _REPEATED.format(times)
        return self._told[call.pk]


_REPEATED: Final = (
    "You have asked for this very call {} times. It was not made again: use the results above, change the arguments, or"
    " answer without it."
)
