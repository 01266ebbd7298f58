"""A request of the API as the worker that answers it needs it: its turns are sent as they are. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat.protocol.functions import FUNCTION, Notes


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the program, which makes the calls itself. `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ExactRequest:
    """`path` is (role, text) of messages, calls and results. By a turn's place in it, `notes` has the id and the name
    of a call or result, and `placed` the files of a message.
    """

    path: list[tuple[str, str]]
    placed: Mapping[int, Sequence[uuid.UUID]] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)
    functions: Sequence[Function] = ()


def read_exact(rows: Sequence[Sequence[Any]]) -> ExactRequest:
    """The request of a row of `ApiRequest`."""
    path = [(row[0], row[1]) for row in rows if row[0] != FUNCTION]  # functions are the last ones
    placed = {at: [uuid.UUID(one) for one in row[2]] for at, row in enumerate(rows) if len(row) > 2 and row[2]}
    notes = {at: (row[3][0], row[3][1]) for at, row in enumerate(rows) if len(row) > 3 and row[0] != FUNCTION}
    functions = [_function(row[3][1], row[1]) for row in rows if row[0] == FUNCTION]
    return ExactRequest(path, placed, notes, functions)


def _function(name: str, text: str) -> Function:
    try:
        found = json.loads(text)
    except ValueError:  # a rule has masked something in it
        found = {}
    parameters = found.get("parameters") if isinstance(found, dict) else None
    if not isinstance(parameters, dict):
        return Function(name, "", {"type": "object", "properties": {}})
    return Function(name, str(found.get("description", "")), parameters, found.get("strict") is True)
