"""The functions that a program offers the model, its calls of them and their results, in both request formats. Pure.

Source: OpenAI API reference, `tools`, `tool_choice` and `parallel_tool_calls` of "Create chat completion" and "Create a
model response".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chat.api.errors import ApiError, invalid, unsupported
from chat.api.named import check_depth, read_name, write_bounded
from chat.protocol.commands import clean_controls
from chat.protocol.functions import CALL, FORM, FUNCTION, MOST_FUNCTIONS, MOST_ID_CHARS, NAME, RESULT

MOST_CALLED_CHARS: Final = 128  # of the name in a call: a model may have called what nobody offers
_NO_PARAMETERS: Final = {"type": "object", "properties": {}}


@dataclass(slots=True)
class Exchanged:
    """The calls, results and functions of a request as turns: `turns` is its list of them, which others add to.

    `notes` are by the number of a turn: the id of the call and the name of the function.
    """

    turns: list[tuple[str, str]]
    notes: dict[int, tuple[str, str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of the calls so far, by their ids

    def call(self, call_id: Any, name: Any, arguments: Any, where: str) -> None:
        """Adds a call of the model. Raises `ApiError`."""
        call_id, name = _read_id(call_id, f"{where}.id"), _read_called(name, f"{where}.name")
        if arguments is None:
            arguments = ""
        if not isinstance(arguments, str):
            raise invalid(f"'{where}.arguments' must be a text with JSON.", f"{where}.arguments", "invalid_type")
        self.names[call_id] = name
        self._add(CALL, _plain_json(arguments), call_id, name)

    def result(self, call_id: Any, text: str, where: str) -> None:
        """Adds the result of a call. Raises `ApiError`."""
        call_id = _read_id(call_id, where)
        self._add(RESULT, text, call_id, self.names.get(call_id, ""))

    def offer(self, functions: Sequence[tuple[str, str]]) -> None:
        """Adds the functions that the model may call, as (name, description)."""
        for name, text in functions:
            self._add(FUNCTION, text, "", name)

    def shape(self, form: tuple[str, str] | None) -> None:
        """Adds the form that the answer is to have, as (name, description)."""
        if form is not None:
            self._add(FORM, form[1], "", form[0])

    def _add(self, role: str, text: str, call_id: str, name: str) -> None:
        self.notes[len(self.turns)] = (call_id, name)
        self.turns.append((role, text))


def read_functions(body: Mapping[str, Any], *, nested: bool) -> list[tuple[str, str]]:
    """The functions of `tools`, as (name, description). `nested`: each is in a field of its own. Raises `ApiError`."""
    given = body.get("tools")
    if given is None:
        return []
    if not isinstance(given, list):
        raise invalid("'tools' must be a list.", "tools", "invalid_type")
    if len(given) > MOST_FUNCTIONS:
        raise invalid(f"'tools' can have at most {MOST_FUNCTIONS} functions.", "tools")
    found: dict[str, str] = {}
    for number, tool in enumerate(given):
        where = f"tools[{number}]"
        if not isinstance(tool, dict):
            raise invalid(f"'{where}' must be an object.", where, "invalid_type")
        kind = tool.get("type", "function")
        if kind != "function":
            raise unsupported(
                f"{where}.type", f"'{where}' is no function. Only functions that your program calls are supported here."
            )
        function, where = (tool.get("function"), f"{where}.function") if nested else (tool, where)
        if not isinstance(function, dict):
            raise invalid(f"'{where}' must be an object.", where, "missing_required_parameter")
        name, text = _read_function(function, where)
        if name in found:
            raise invalid(f"There are two functions with the name '{name}'.", f"{where}.name")
        found[name] = text
    return list(found.items())


def _read_function(function: Mapping[str, Any], where: str) -> tuple[str, str]:
    name, description = read_name(function, where, NAME)
    parameters = function.get("parameters")
    if parameters is None or parameters == {}:
        parameters = _NO_PARAMETERS
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise invalid(
            f"'{where}.parameters' must be a JSON schema of the type object.", f"{where}.parameters", "invalid_type"
        )
    check_depth(parameters, f"{where}.parameters")
    shown = {"description": description, "parameters": {"type": "object", **parameters}}
    strict = {"strict": True} if function.get("strict") is True else {}
    return name, write_bounded(shown | strict, "A function", where)


def read_choice(body: Mapping[str, Any], names: Sequence[str], *, nested: bool) -> str:
    """`tool_choice` as `ApiSend.choice` has it. Raises `ApiError`."""
    given = body.get("tool_choice")
    if given in (None, "auto", "none", "required"):
        if given == "required" and not names:
            raise _no_tools()
        return given if given in ("none", "required") else ""
    if isinstance(given, dict) and given.get("type") == "function":
        function = given.get("function") if nested else given
        name = function.get("name") if isinstance(function, dict) else None
        if name in names:
            return f"={name}"
        raise invalid("'tool_choice' must name a function of 'tools'.", "tool_choice")
    if isinstance(given, dict) and isinstance(given.get("type"), str):
        raise unsupported("tool_choice", "'tool_choice' can be auto, none, required or a function.")
    raise invalid("'tool_choice' must be auto, none, required or a function.", "tool_choice")


def read_one_call(body: Mapping[str, Any]) -> bool:
    """Whether the model may make one call at once only (`parallel_tool_calls` is false). Raises `ApiError`."""
    value = body.get("parallel_tool_calls")
    if value is not None and not isinstance(value, bool):
        raise invalid("'parallel_tool_calls' must be true or false.", "parallel_tool_calls", "invalid_type")
    return value is False


def _no_tools() -> ApiError:
    return invalid("'tool_choice' is required, but there are no 'tools'.", "tool_choice")


def _read_id(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_ID_CHARS or not value.isprintable():
        raise invalid(
            f"'{where}' must be the id of a call.", where, "invalid_value" if value else "missing_required_parameter"
        )
    return value


def _read_called(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_CALLED_CHARS or not value.isprintable():
        raise invalid(
            f"'{where}' must be the name of a function.", where,
            "invalid_value" if value else "missing_required_parameter",
        )  # fmt: skip
    return value


def _plain_json(text: str) -> str:
    """Arguments without needless escapes, which would hide their words from rules; other text as it is."""
    try:
        return (
            clean_controls(json.dumps(json.loads(text), ensure_ascii=False)) if "\\" in text else clean_controls(text)
        )
    except (ValueError, RecursionError):
        return clean_controls(text)
