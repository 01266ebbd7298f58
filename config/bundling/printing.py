"""Prints modules without comments and needless white space, and the source map of what it prints.

Names stay as they are: compressed, shorter ones save next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tree_sitter import Node

WHOLE: Final = frozenset(("string", "template_string", "regex", "comment", "html_comment", "hash_bang_line"))
LICENCE: Final = b"/*!"
COMMENTS: Final = frozenset(("comment", "html_comment"))
# A line end after the first or before the second of these never ends a statement.
GOES_ON: Final = frozenset(
    ("{", ";", ",", "(", "[", "=", "=>", "&&", "||", "??", "?", ":", "+", "*", "<", ">", "===", "!==", ".")
)
WENT_ON: Final = frozenset(("}", ")", "]", ",", ";", ".", "?.", "&&", "||", "??", "?", ":", "=>", "===", "!=="))
DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@dataclass
class Printer:
    """Collects the text of one file. Source maps name the source line of each first token of a line."""

    parts: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)  # path: text
    _line: int = 0
    _column: int = 0  # UTF-16 units, as source maps count
    _marks: list[tuple[int, int, int, int, int]] = field(default_factory=list)  # line, column, source, its line, column

    def write(self, text: str) -> None:
        self.parts.append(text)
        lines = text.split("\n")
        if len(lines) > 1:
            self._line += len(lines) - 1
            self._column = 0
        last = lines[-1]
        self._column += len(last) if last.isascii() else len(last.encode("utf-16-le")) // 2

    def write_source(self, path: str, text: bytes, root: Node, edits: Mapping[int, tuple[int, str]]) -> None:
        """Prints a file. `edits`: what stands in the place of the bytes from the key on, up to the given one."""
        self.sources[path] = text.decode()
        source = len(self.sources) - 1
        before, mapped = "", -1
        for token, row, column, breaks in _tokens(text, root, edits):
            if before:
                self.write(_between(before, token, breaks))
            if row != mapped:
                mapped = row
                self._marks.append((self._line, self._column, source, row, column))
            self.write(token)
            before = token

    def text(self) -> str:
        return "".join(self.parts)

    def source_map(self, file: str) -> str:
        """Version 3, with the sources in it (https://tc39.es/ecma426/)."""
        lines: list[list[str]] = [[] for _ in range(self._line + 1)]
        previous, column, line = [0, 0, 0], 0, -1
        for at, column_at, *place in self._marks:
            if at != line:
                line, column = at, 0
            numbers = [column_at - column, *(new - old for new, old in zip(place, previous, strict=True))]
            lines[at].append("".join(map(_variable_length, numbers)))
            column, previous = column_at, place
        mappings = ";".join(",".join(one) for one in lines)
        found = {"version": 3, "file": file, "sources": [f"/{path}" for path in self.sources]}
        texts = {"sourcesContent": list(self.sources.values()), "names": [], "mappings": mappings}
        return json.dumps(found | texts, separators=(",", ":"), ensure_ascii=False)


def _tokens(text: bytes, root: Node, edits: Mapping[int, tuple[int, str]]) -> Iterator[tuple[str, int, int, bool]]:
    """Tokens with their row, their column, and whether a line ended before them. Edited ones come as replaced."""
    end, skip = 0, 0
    breaks = False
    for node in _leaves(root):
        start = node.start_byte
        if start < skip:
            end = skip
            continue
        breaks |= b"\n" in text[end:start]
        end = node.end_byte
        if start in edits:
            skip, replacement = edits[start]
            end = skip
            if replacement:
                yield replacement, node.start_point.row, node.start_point.column, breaks
                breaks = False
        elif node.type in COMMENTS and not text[start:end].startswith(LICENCE):
            breaks |= b"\n" in text[start:end]
        elif end > start:
            yield text[start:end].decode(), node.start_point.row, node.start_point.column, breaks
            breaks = False


def _leaves(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in WHOLE or not node.child_count:
            yield node
        else:
            waiting.extend(reversed(node.children))


def _between(before: str, after: str, breaks: bool) -> str:
    """What has to stand between two tokens: a line end where one ends a statement, a blank, or nothing."""
    if breaks and before not in GOES_ON and after not in WENT_ON:
        return "\n"
    last, first = before[-1], after[0]
    words = _is_word(last) and _is_word(first)
    joins = (last == first and last in "+-/&|<>=?.*") or (last == "/" and (first == "*" or _is_word(first)))
    return " " if words or joins or (last.isdigit() and first == ".") else ""


def _is_word(character: str) -> bool:
    return character.isalnum() or character in "_$#@\\" or character > "\x7f"


def _variable_length(number: int) -> str:
    left = abs(number) << 1 | (number < 0)
    digits = []
    while True:
        digit, left = left & 31, left >> 5
        digits.append(DIGITS[digit | (32 if left else 0)])
        if not left:
            return "".join(digits)


def minify(path: str, text: bytes, root: Node) -> Printer:
    """A script that stays a file of its own."""
    printer = Printer()
    printer.write_source(path, text, root, {})
    return printer
