"""A request of the API as the worker that answers it needs it: its turns are sent as they are. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat.protocol.functions import FORM, FUNCTION, OFFERED_ROLES, Notes


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the program, which makes the calls itself. `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """The form that the answer is to have: JSON; with a `schema`, JSON that follows it. `text`: what was sent."""

    name: str
    description: str
    schema: Mapping[str, Any] | None
    strict: bool
    text: str


@dataclass(frozen=True, slots=True)
class ExactRequest:
    """`path` is (role, text) of messages, calls and results. By a turn's place in it, `notes` has the id and the name
    of a call or result, and `placed` the files of a message. `replays` has by the ids of calls what their model wants
    back with them (`chat.runs.returned_calls`).
    """

    path: list[tuple[str, str]]
    placed: Mapping[int, Sequence[uuid.UUID]] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)
    functions: Sequence[Function] = ()
    form: Form | None = None
    replays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_exact(rows: Sequence[Sequence[Any]]) -> ExactRequest:
    """The request of a row of `ApiRequest`."""
    path = [(row[0], row[1]) for row in rows if row[0] not in OFFERED_ROLES]  # these are the last ones
    placed = {at: [uuid.UUID(one) for one in row[2]] for at, row in enumerate(rows) if len(row) > 2 and row[2]}
    notes = {at: (row[3][0], row[3][1]) for at, row in enumerate(rows) if len(row) > 3 and row[0] not in OFFERED_ROLES}
    functions = [_function(row[3][1], row[1]) for row in rows if row[0] == FUNCTION]
    form = next((_form(row[3][1], row[1]) for row in rows if row[0] == FORM), None)
    return ExactRequest(path, placed, notes, functions, form)


def _form(name: str, text: str) -> Form:
    found = _object(text)
    schema = found.get("schema")
    return Form(
        name, str(found.get("description", "")), schema if isinstance(schema, dict) else None,
        found.get("strict") is True, text,
    )  # fmt: skip


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:  # a rule has masked something in it
        return {}
    return found if isinstance(found, dict) else {}


def _function(name: str, text: str) -> Function:
    found = _object(text)
    parameters = found.get("parameters")
    if not isinstance(parameters, dict):
        return Function(name, "", {"type": "object", "properties": {}})
    return Function(name, str(found.get("description", "")), parameters, found.get("strict") is True)
