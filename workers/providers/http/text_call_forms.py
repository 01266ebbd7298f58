"""The forms in which models write calls of tools into their text, as their chat templates have them. Pure: no I/O.

Sources: the tool parsers of vLLM and SGLang, and the models' chat templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from workers.providers.base import ToolSpec
from workers.providers.http.json_values import NO_JSON, load_json

# What closes each; empty: the end of the answer.
OPENINGS: Final = {
    "<tool_call>": "</tool_call>",  # Hermes and Qwen with JSON, Qwen Coder with `<function=…>`, GLM with `<arg_key>`
    "[TOOL_CALLS]": "",  # Mistral
    "<|python_tag|>": "",  # Llama
    "<function=": "</function>",  # Llama and Functionary
    "<|tool_call|>": "",  # Granite and Phi
    "<|tool_calls_section_begin|>": "<|tool_calls_section_end|>",  # Kimi
    "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁end｜>",  # DeepSeek
    "<minimax:tool_call>": "</minimax:tool_call>",
    "<|START_ACTION|>": "<|END_ACTION|>",  # Command R and A
}

Found = tuple[str, str]  # a name, and arguments as JSON

_FUNCTION: Final = re.compile(r"\s*<function=([^>\s]+)>(.*?)</function>", re.DOTALL)
_PARAMETER: Final = re.compile(r"\s*<parameter=([^>\s]+)>(.*?)</parameter>", re.DOTALL)
_INVOKE: Final = re.compile(r"\s*<invoke name=\"([^\"]+)\">(.*?)</invoke>", re.DOTALL)
_INVOKED_WITH: Final = re.compile(r"\s*<parameter name=\"([^\"]+)\">(.*?)</parameter>", re.DOTALL)
_KEYED: Final = re.compile(r"\s*([\w.-]+)\s*((?:<arg_key>.*)?)\s*\Z", re.DOTALL)
_KEY: Final = re.compile(r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
# A name and, after what stands between, JSON: Mistral, Kimi, DeepSeek.
_NAMED: Final = re.compile(r"\s*(?:\[TOOL_CALLS\])?\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\]\s*|(?=\{))")
_KIMI: Final = re.compile(
    r"\s*<\|tool_call_begin\|>\s*(?:functions\.)?([\w.-]+?)(?::\d+)?\s*<\|tool_call_argument_begin\|>"
)
_DEEPSEEK: Final = re.compile(
    r"\s*<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>)?\s*(?:```json\s*)?"
)
_CLOSED: Final = re.compile(r"(?:\s|```|<\|tool_call_end\|>|<｜tool▁call▁end｜>)*")


class CallParser:
    """`tools` are those offered, by their names as they were sent."""

    def __init__(self, tools: Mapping[str, ToolSpec]) -> None:
        self._tools = tools

    def parse(self, opening: str, inside: str) -> list[Found]:
        """The calls; none unless all of it are calls of offered tools."""
        if opening == "<function=":
            return self._parse_tags(f"{opening}{inside}</function>", _FUNCTION, _PARAMETER)
        if opening == "<minimax:tool_call>":
            return self._parse_tags(inside, _INVOKE, _INVOKED_WITH)
        if opening == "<tool_call>" and inside.lstrip().startswith("<function="):
            return self._parse_tags(inside, _FUNCTION, _PARAMETER)
        if opening == "<tool_call>" and (keyed := _KEYED.match(inside)):
            return self._named(keyed[1], self._parse_parameters(keyed[1], keyed[2], _KEY))
        named = {"[TOOL_CALLS]": _NAMED, "<|tool_calls_section_begin|>": _KIMI, "<｜tool▁calls▁begin｜>": _DEEPSEEK}
        if (begins := named.get(opening)) is not None and begins.match(inside):
            return self._parse_named(inside, begins)
        return self._parse_json(inside)

    def _parse_json(self, inside: str) -> list[Found]:
        values: list[Any] = []
        place = 0
        while place < len(inside):
            try:
                value, place = json.JSONDecoder().raw_decode(inside, place + _blanks(inside, place))
            except (ValueError, RecursionError):
                return []
            values += value if isinstance(value, list) else [value]
            place += _blanks(inside, place)
            if inside[place : place + 1] == ";":
                place += 1
            place += _blanks(inside, place)
        found = [self._call(value) for value in values]
        return [call for call in found if call is not None] if None not in found else []

    def _call(self, value: object) -> Found | None:
        if not isinstance(value, dict):
            return None
        name = value.get("name", value.get("tool_name"))
        arguments = value.get("arguments", value.get("parameters", {}))
        if isinstance(arguments, str):
            arguments = load_json(arguments or "{}")
        if name not in self._tools or not isinstance(arguments, dict):
            return None
        return str(name), json.dumps(arguments, ensure_ascii=False)

    def _named(self, name: str, arguments: object) -> list[Found]:
        call = self._call({"name": name, "arguments": arguments})
        return [] if call is None else [call]

    def _parse_named(self, inside: str, begins: re.Pattern[str]) -> list[Found]:
        found: list[Found] = []
        place = 0
        while place < len(inside):
            named = begins.match(inside, place)
            if named is None:
                return []
            try:
                arguments, place = json.JSONDecoder().raw_decode(inside, named.end())
            except (ValueError, RecursionError):
                return []
            if not (calls := self._named(named[1], arguments)):
                return []
            found += calls
            closed = _CLOSED.match(inside, place)
            place = closed.end() if closed else place
        return found

    def _parse_tags(self, inside: str, tag: re.Pattern[str], parameter: re.Pattern[str]) -> list[Found]:
        found: list[Found] = []
        place = 0
        while inside[place:].strip():
            function = tag.match(inside, place)
            if function is None or function[1] not in self._tools:
                return []
            arguments = load_json(function[2])  # Llama writes JSON in there
            if not isinstance(arguments, dict):
                arguments = self._parse_parameters(function[1], function[2], parameter)
            if arguments is None:
                return []
            found.append((function[1], json.dumps(arguments, ensure_ascii=False)))
            place = function.end()
        return found

    def _parse_parameters(self, name: str, inside: str, pair: re.Pattern[str]) -> dict[str, Any] | None:
        """Arguments as texts, read as JSON where the parameter is no text."""
        properties = self._tools[name].parameters.get("properties") if name in self._tools else None
        arguments: dict[str, Any] = {}
        place = 0
        while inside[place:].strip():
            parameter = pair.match(inside, place)
            if parameter is None:
                return None
            text = parameter[2].removeprefix("\n").removesuffix("\n")
            schema = properties.get(parameter[1]) if isinstance(properties, Mapping) else None
            value = text if isinstance(schema, Mapping) and schema.get("type") == "string" else load_json(text)
            arguments[parameter[1]] = text if value is NO_JSON else value
            place = parameter.end()
        return arguments


def _blanks(text: str, place: int) -> int:
    """How many blanks there are at a place."""
    end = place
    while end < len(text) and text[end].isspace():
        end += 1
    return end - place
