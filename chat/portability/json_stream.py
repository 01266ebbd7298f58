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
from typing import IO, Any, Final

from chat.portability import refusals

MAX_ENTRY: Final = 128 * 2**20  # characters of JSON of one entry
LISTS: Final = ("conversations", "recordings")  # of our own export
_CHUNK: Final = 256 * 2**10  # bytes
_BLANK: Final = re.compile(r"[ \t\r\n]*")
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_DECODER: Final = json.JSONDecoder()


class ImportRefusedError(Exception):
    """A file, or one conversation in it, is not imported. The message is a sentence that says why, and where."""


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
                self.head = {"": self._value()}
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
            key = self._value()
            self._expect(":")
            if key in LISTS and self._peek() == "[":
                self.head[key] = []
                for entry in self._list():
                    yield key, entry
            else:
                self.head[key] = self._value()
            if self._separator("}"):
                return

    def _list(self) -> Iterator[Any]:
        self._expect("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
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

    def _value(self) -> Any:
        """The next value, of which more is read as long as it is not complete."""
        self._peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                if end < len(self._text) or self._ended:  # a number may go on
                    self._at = end
                    return value
            if len(self._text) - self._at > MAX_ENTRY:
                raise ImportRefusedError(refusals.LARGE_ENTRY % {"file": self.name, "size": megabytes(MAX_ENTRY)})
            self._read(max(_CHUNK, len(self._text) - self._at))  # twice as much each time

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

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column, from 1."""
        before = self._text[:position]
        column = len(before) - before.rfind("\n") - 1 + (0 if "\n" in before else self._columns)
        return self._lines + before.count("\n") + 1, column + 1


def megabytes(size: int) -> str:
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size} bytes"
