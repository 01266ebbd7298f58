"""Reads a large JSON document entry by entry, so that no more than one entry is in memory.

The document is a list of entries, or an object whose lists (`LISTS`) may be long. ijson was measured and not taken: it
joins unrelated halves of surrogate pairs, refuses integers beyond 64 bits, and needs memory quadratic in the nesting.
"""

from __future__ import annotations

import codecs
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from chat.portability import refusals

MAX_ENTRY: Final = 64 * 2**20  # characters of JSON of one entry, or of all that an object has beside its lists
MAX_VALUES: Final = 2_000_000  # in one entry, likewise: the three characters "{}," take 72 bytes of memory
MAX_ENTRIES: Final = 1_000_000  # of a document
LISTS: Final = ("conversations", "recordings")  # of our own export
_CHUNK: Final = 256 * 2**10  # bytes
_BLANK: Final = re.compile(r"[ \t\r\n]*")
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_DECODER: Final = json.JSONDecoder()
_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)


class ImportRefusedError(Exception):
    """A file, or one conversation in it, is not imported. The message is a sentence that says why, and where."""


@dataclass(slots=True)
class _Kept:
    """How much of a document is in memory for good."""

    characters: int = 0
    values: int = 0


class JsonStream:
    """One document. After `entries` was read to its end, `head` has the other keys of an object; None for a list."""

    def __init__(
        self, name: str, file: IO[bytes], max_bytes: int, *, packed: bool = False, may_be_other: bool = False
    ) -> None:
        self.name = name
        self.may_be_other = may_be_other  # than an export: it is one of several files of an archive
        self.head: dict[str, Any] | None = None
        self.size = 0  # bytes read
        self._file = file
        self._max_bytes = max_bytes
        self._exceeds = refusals.UNPACKS_TOO_LARGE if packed else refusals.TOO_LARGE
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._ended = False
        self._lines = self._columns = 0  # of what was dropped from `_text`
        self._entries = 0
        self._kept = _Kept()
        self._is_dense = False  # `_text` may have more than `MAX_VALUES`

    def entries(self) -> Iterator[tuple[str, Any]]:
        """(key of its list, entry); the key is empty for a list. Raises `ImportRefusedError`, `OSError`."""
        try:
            if self._peek() == "\ufeff":
                self._at += 1
            if self._peek() == "[":
                for entry in self._list():
                    yield "", entry
            elif self._peek() == "{":
                yield from self._object()
            else:
                self.head = {"": self._value(self._kept)}
            if self._peek():
                raise json.JSONDecodeError("Extra data", self._text, self._at)
        except json.JSONDecodeError as error:
            line, column = self._place(error.pos)
            raise ImportRefusedError(
                refusals.NOT_JSON % {"file": self.name, "problem": error.msg, "line": line, "column": column}
            ) from None
        except RecursionError:
            raise ImportRefusedError(refusals.TOO_DEEP % {"file": self.name}) from None
        except ValueError:
            raise ImportRefusedError(refusals.LONG_NUMBER % {"file": self.name}) from None

    def _object(self) -> Iterator[tuple[str, Any]]:
        self.head = {}
        self._expect("{")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            if self._peek() != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, self._at)
            key = self._value(self._kept)
            self._expect(":")
            if key in LISTS and self._peek() == "[":
                self.head[key] = []
                for entry in self._list():
                    yield key, entry
            else:
                self.head[key] = self._value(self._kept)
            if self._separator("}"):
                return

    def _list(self) -> Iterator[Any]:
        self._expect("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                raise ImportRefusedError(refusals.MANY_ENTRIES % {"file": self.name, "most": f"{MAX_ENTRIES:,}"})
            yield self._value()
            if self._separator("]"):
                return

    def _separator(self, end: str) -> bool:
        """Reads past a comma or the end; True for the end."""
        found = self._peek()
        if found not in (",", end) or not found:
            raise json.JSONDecodeError("Expecting ',' delimiter", self._text, self._at)
        self._at += 1
        return found == end

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise json.JSONDecodeError(f"Expecting '{character}' delimiter", self._text, self._at)
        self._at += 1

    def _peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._read(_CHUNK)

    def _value(self, kept: _Kept | None = None) -> Any:
        """The next value, of which more is read as long as it is not complete. `kept`: what is in memory beside it, to
        which it is added. Raises `ImportRefusedError` for what is too much.
        """
        self._peek()
        while True:
            if self._is_dense and count_values(self._text, self._at) > MAX_VALUES:
                raise ImportRefusedError(refusals.MANY_VALUES % {"file": self.name, "most": f"{MAX_VALUES:,}"})
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                if end < len(self._text) or self._ended:  # a number may go on
                    if kept is not None:
                        self._keep(kept, end)
                    self._at = end
                    return value
            size = len(self._text) - self._at
            if size > MAX_ENTRY:
                raise ImportRefusedError(refusals.LARGE_ENTRY % {"file": self.name, "size": megabytes(MAX_ENTRY)})
            self._read(min(max(_CHUNK, size), MAX_ENTRY + _CHUNK - size))  # twice as much each time

    def _keep(self, kept: _Kept, end: int) -> None:
        kept.characters += end - self._at
        kept.values += count_values(self._text, self._at)
        if kept.characters > MAX_ENTRY:
            raise ImportRefusedError(refusals.LARGE_ENTRY % {"file": self.name, "size": megabytes(MAX_ENTRY)})
        if kept.values > MAX_VALUES:
            raise ImportRefusedError(refusals.MANY_VALUES % {"file": self.name, "most": f"{MAX_VALUES:,}"})

    def _read(self, size: int) -> None:
        try:
            raw = self._file.read(size)
        except DAMAGED as error:
            raise ImportRefusedError(refusals.DAMAGED_ARCHIVE % {"error": error}) from None
        pending = len(self._decode.getstate()[0])
        try:
            more = self._decode.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            place = self.size - pending + error.start
            raise ImportRefusedError(refusals.NOT_UTF8 % {"file": self.name, "byte": place}) from None
        self.size += len(raw)
        if self.size > self._max_bytes:
            raise ImportRefusedError(self._exceeds % {"file": self.name, "size": megabytes(self._max_bytes)})
        self._ended = not raw
        dropped = self._text[: self._at]
        if "\n" in dropped:
            self._columns = 0
        self._lines += dropped.count("\n")
        self._columns += len(dropped) - dropped.rfind("\n") - 1
        self._text = self._text[self._at :] + more
        self._at = 0
        self._is_dense = sum(map(self._text.count, "[{,")) > MAX_VALUES

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column, from 1."""
        before = self._text[:position]
        column = len(before) - before.rfind("\n") - 1 + (0 if "\n" in before else self._columns)
        return self._lines + before.count("\n") + 1, column + 1


def count_values(text: str, start: int) -> int:
    """How many values the JSON value at `start` has, itself included, or at least `MAX_VALUES` + 1 if there are more.

    It ends where the value or the text does, whatever is wrong with it.
    """
    depth, values = 0, 1
    for token in _TOKEN.finditer(text, start):
        match text[token.start()]:
            case "[" | "{":
                depth += 1
                values += 1
            case "]" | "}":
                depth -= 1
            case "," if depth:
                values += 1
        if depth <= 0 or values > MAX_VALUES:
            break
    return values


def megabytes(size: int) -> str:
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size} bytes"
