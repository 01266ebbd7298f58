"""Finds calls of tools that a model writes into its text, where its server does not read them. Pure: no I/O.

They begin at the start of a line and outside of code (`text_call_forms.py` has their forms). What does not parse as a
whole, or names a tool that was not offered, stays text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from workers.providers.base import ToolSpec
from workers.providers.http.text_call_forms import OPENINGS, CallParser, Found

MAX_HELD: Final = 262_144  # characters; a longer call is text
INDENT: Final = 3  # blanks before it; more is indented code

_FENCE: Final = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(?:(`{3,})[^`]*|(~{3,}).*)\Z")
_STOPS: Final = re.compile(r"(?:\s|</s>|<\|/?\w+\|>)+\Z")


class TextCalls:
    """Reads the text of one answer, piece by piece. `tools` are those offered, by their names as they were sent."""

    def __init__(self, tools: Mapping[str, ToolSpec]) -> None:
        self.found: list[Found] = []
        self._parser = CallParser(tools)
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
        if found := self._parser.parse(opening, _STOPS.sub("", held)):
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
        if place >= 0 and (found := self._parser.parse(opening, self._held[:place])):
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
