"""Functions of a program: what a request of the API may offer a model beside its messages. Pure.

The program makes the calls itself, so a run with such calls ends with them and the program sends the results with its
next request. In the turns of a request each call, each result and each offered function is a turn of its own, as (role,
text): of a call the text is its arguments, of a function its description as JSON, of the form that the answer is to
have likewise. `Notes` has what else belongs to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

CALL: Final = "call"
RESULT: Final = "tool"
FUNCTION: Final = "function"
FORM: Final = "form"
JSON_ROLES: Final = frozenset({CALL, FUNCTION, FORM})
OFFERED_ROLES: Final = frozenset({FUNCTION, FORM})  # the last turns: no part of what was said
READ_ROLES: Final = JSON_ROLES | {RESULT}  # what may be JSON, whose escapes would hide words
MESSAGE_ROLES: Final = frozenset({"system", "user", "assistant"})

MOST_FUNCTIONS: Final = 128
MOST_NAME_CHARS: Final = 64
MOST_ID_CHARS: Final = 200
MOST_SCHEMA_BYTES: Final = 32 * 1024  # of one function
MOST_DEPTH: Final = 24  # of its schema
NAME: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{MOST_NAME_CHARS}}}")

_ANNOTATIONS: Final = frozenset({"description", "title", "$comment"})

Notes = Mapping[int, tuple[str, str]]
"""By the number of a turn: the id of the call, and the name of the function or form. These have no id."""


def question_of(turns: Sequence[Sequence[Any]]) -> str:
    """What a request asks, of its turns: the last message of the user, else the last message."""
    said = [turn for turn in turns if turn[0] in MESSAGE_ROLES]
    asked = [turn for turn in said if turn[0] == "user"] or said
    return str(asked[-1][1]) if asked else ""


def strings_of(text: str) -> str:
    """The strings of a JSON text without their escapes, one a line; empty if it has no escapes, or is no JSON."""
    if "\\" not in text:
        return ""
    try:
        return "\n".join(_strings(json.loads(text)))
    except (ValueError, RecursionError):
        return ""


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [one for name, item in value.items() for one in (name, *_strings(item))]
    return [one for item in value for one in _strings(item)] if isinstance(value, list) else []


def still_usable(role: str, before: str, after: str) -> bool:
    """Whether the text of a turn, of which rules have masked something, is what it was: JSON, and of a function or form
    the same schema but for what describes it. Of other turns any text will do.
    """
    if role not in JSON_ROLES or before == after:
        return True
    try:
        was = json.loads(before)
    except (ValueError, RecursionError):
        return True  # arguments that never were JSON
    try:
        became = json.loads(after)
    except (ValueError, RecursionError):
        return False
    return role == CALL or bool(_undescribed(was) == _undescribed(became))


def _undescribed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _undescribed(one)
            for name, one in value.items()
            if not (name in _ANNOTATIONS and isinstance(one, str))
        }
    return [_undescribed(one) for one in value] if isinstance(value, list) else value


def depth_of(value: Any) -> int:
    """How deeply a JSON value is nested, counted no further than `MOST_DEPTH` + 1."""
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        inner = [one for one in level if isinstance(one, dict | list)]
        level = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]
        depth += bool(inner)
    return depth
