"""Finds calls of tools that a model writes into its text, where its server does not read them. Pure: no I/O.

Read are `<tool_call>` with JSON (Hermes, Qwen) or with `<function=…>` (Qwen Coder), `[TOOL_CALLS]` (Mistral) and
`<|python_tag|>` (Llama), at the start of a line and outside of code. What does not parse as a whole, or names a tool
that was not offered, stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from workers.providers.base import ToolSpec
from workers.providers.http.json_values import NO_JSON, load_json

# What closes each; empty: the end of the answer.
OPENINGS: Final = {"<tool_call>": "</tool_call>", "[TOOL_CALLS]": "", "<|python_tag|>": ""}
MAX_HELD: Final = 262_144  # characters; a longer call is text
INDENT: Final = 3  # blanks before it; more is indented code

_FENCE: Final = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(?:(`{3,})[^`]*|(~{3,}).*)\Z")
_FUNCTION: Final = re.compile(r"\s*<function=([^>\s]+)>(.*?)</function>", re.DOTALL)
_PARAMETER: Final = re.compile(r"\s*<parameter=([^>\s]+)>(.*?)</parameter>", re.DOTALL)
_NAMED: Final = re.compile(r"\s*(?:\[TOOL_CALLS\])?\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?\[ARGS\]\s*")
_STOPS: Final = re.compile(r"(?:\s|</s>|<\|\w+\|>)+\Z")

Found = tuple[str, str]  # a name, and arguments as JSON


class TextCalls:
    """Reads the text of one answer, piece by piece. `tools` are those offered, by their names as they were sent."""

    def __init__(self, tools: Mapping[str, ToolSpec]) -> None:
        self.found: list[Found] = []
        self._tools = tools
        self._held = ""
        self._waiting: list[str] = []  # pieces that came after `_held`, inside of a call
        self._size = 0  # characters of both
        self._opening = ""  # of the call that is being read; empty outside of one
        self._line: list[str] = []  # the line so far
        self._fence = ""  # the marker of the code block that is open
        self._began = False  # there was text before

    def feed(self, text: str) -> str:
        """The text that is certain to be text now."""
        if self._opening and not self._may_close(text):
            return ""
        self._held, self._waiting = self._held + "".join(self._waiting) + text, []
        self._size = len(self._held)
        passed: list[str] = []
        while self._held and (self._read_call(passed) if self._opening else self._read_text(passed)):
            pass
        return "".join(passed)

    def end(self) -> str:
        """The last text, at the end of the answer. Reads a call that only the end closes."""
        held, self._held, self._waiting = self._held + "".join(self._waiting), "", []
        opening, self._opening = self._opening, ""
        if not opening:
            return held if self._began or held.strip() else ""
        if found := self._parse(opening, _STOPS.sub("", held)):
            self.found += found
            return ""
        return opening + held

    def _may_close(self, text: str) -> bool:
        """Whether the call may end with this piece, which is kept for later if not."""
        closing = OPENINGS[self._opening]
        if (closing and closing[-1] in text) or self._size + len(text) > MAX_HELD:
            return True
        self._waiting.append(text)
        self._size += len(text)
        return False

    def _read_call(self, passed: list[str]) -> bool:
        """Whether there is more to read."""
        closing = OPENINGS[self._opening]
        place = self._held.find(closing) if closing else -1
        if place < 0 and len(self._held) <= MAX_HELD:
            return False
        opening, self._opening = self._opening, ""
        if place >= 0 and (found := self._parse(opening, self._held[:place])):
            self.found += found
            self._held = self._held[place + len(closing) :].lstrip()
            return True
        end = place + len(closing) if place >= 0 else len(self._held)
        self._pass(passed, opening + self._held[:end])
        self._held = self._held[end:]
        return True

    def _read_text(self, passed: list[str]) -> bool:
        if not self._line and not self._fence:
            start = self._held.lstrip(" ") if self._began else self._held.lstrip()
            if not self._began and not start:
                return False
            if not self._began or len(self._held) - len(start) <= INDENT:
                for opening in OPENINGS:
                    if start.startswith(opening):
                        self._held, self._opening = start[len(opening) :], opening
                        return True
                if any(opening.startswith(start) for opening in OPENINGS):
                    return False
        line, newline, rest = self._held.partition("\n")
        self._held = rest
        self._pass(passed, line + newline)
        return bool(rest)

    def _pass(self, passed: list[str], text: str) -> None:
        self._began = True
        passed.append(text)
        for line in text.splitlines(keepends=True):
            self._line.append(line)
            if line.endswith("\n"):
                self._end_line("".join(self._line).rstrip("\n"))
                self._line = []

    def _end_line(self, line: str) -> None:
        """Notes whether the next line is inside code."""
        if self._fence:
            mark = line.strip(" \t>")
            if mark and mark.startswith(self._fence) and not mark.strip(self._fence[0]):
                self._fence = ""
        elif fence := _FENCE.match(line):
            self._fence = fence[1] or fence[2]

    # --- what is inside ------------------------------------------------------------------------------------------

    def _parse(self, opening: str, inside: str) -> list[Found]:
        """The calls; none unless all of it are calls of offered tools."""
        if opening == "<tool_call>" and inside.lstrip().startswith("<function="):
            return self._parse_tags(inside)
        if opening == "[TOOL_CALLS]" and _NAMED.match(inside):
            return self._parse_named(inside)
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
        name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
        if isinstance(arguments, str):
            arguments = load_json(arguments or "{}")
        if name not in self._tools or not isinstance(arguments, dict):
            return None
        return str(name), json.dumps(arguments, ensure_ascii=False)

    def _parse_named(self, inside: str) -> list[Found]:
        found: list[Found] = []
        place = 0
        while place < len(inside):
            named = _NAMED.match(inside, place)
            if named is None:
                return []
            try:
                arguments, place = json.JSONDecoder().raw_decode(inside, named.end())
            except (ValueError, RecursionError):
                return []
            call = self._call({"name": named[1], "arguments": arguments})
            if call is None:
                return []
            found.append(call)
            place += _blanks(inside, place)
        return found

    def _parse_tags(self, inside: str) -> list[Found]:
        found: list[Found] = []
        place = 0
        while inside[place:].strip():
            function = _FUNCTION.match(inside, place)
            if function is None or function[1] not in self._tools:
                return []
            arguments = self._parse_parameters(function[1], function[2])
            if arguments is None:
                return []
            found.append((function[1], json.dumps(arguments, ensure_ascii=False)))
            place = function.end()
        return found

    def _parse_parameters(self, name: str, inside: str) -> dict[str, Any] | None:
        """Arguments as texts, read as JSON where the parameter is no text."""
        properties = self._tools[name].parameters.get("properties")
        arguments: dict[str, Any] = {}
        place = 0
        while inside[place:].strip():
            parameter = _PARAMETER.match(inside, place)
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
