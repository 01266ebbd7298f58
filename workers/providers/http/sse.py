"""Splits the bytes of an event stream into the data of its events, as the HTML standard says.

Source: WHATWG HTML §9.2.5 (parsing an event stream) and §9.2.6 (interpreting an event stream). Pure: no I/O.
"""

from __future__ import annotations

import json
import re
from typing import Final

from accounts.lib.texts import gettext_noop
from workers.providers.base import ProviderError

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024  # images that a model makes come in one
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NAME: Final = re.compile(rb"[\w.]{1,100}")
GARBAGE: Final = gettext_noop("The model's server sent an unexpected response.")


def is_body(start: bytes, *, json_lines: bool) -> bool:
    """Whether bytes begin one JSON value, which may have many lines, and no stream of events or of lines of JSON."""
    if json_lines and start[:1] == b"{":
        return start[1:].strip(b" \t\r")[:1] == b"\n"
    return start[:1] in (b"{", b"[")


class EventSplitter:
    """Splits bytes into the data of server-sent events. A chunk of bytes may end anywhere, even inside a character.

    The byte order mark must have been removed (`AnswerReader` does it). Events without data are not returned, and
    comments and the fields `id` and `retry` are not used.

    Beyond the standard, some broken streams are read: objects with one line break between them instead of a blank
    line, an error in an event of that name or in a field `error`, and an object without a field.

    `named`: the name of an event is put into its data as `type`, where the data does not have it.
    """

    def __init__(self, *, named: bool = False) -> None:
        self._named = named
        self._name = b""  # of the event that is being read
        self.unknown = 0  # lines that are no field of an event stream
        self._tail = b""
        self._more: list[bytes] = []  # of the same line, joined once it ends: it may hold an image
        self._long = 0  # bytes of them
        self._data: list[bytes] = []
        self._size = 0
        self._failed = False  # the event that is being read is named error

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now. Raises `ProviderError` when one grows over `MAX_EVENT_BYTES`."""
        if b"\n" not in data and b"\r" not in data and not self._tail.endswith(b"\r"):
            self._more.append(data)
            self._long += len(data)
            self._check(len(self._tail) + self._long)
            return []
        if self._tail or self._more:
            data = b"".join((self._tail, *self._more, data))
            self._more.clear()
            self._long = 0
        held = b""
        if b"\r" in data:  # a line may end with CR LF, LF or CR; the LF of a last CR may still come
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        tail = lines.pop()
        self._tail = tail + held
        events = self._take(lines)
        self._check(len(tail))
        return events

    def _check(self, unfinished: int) -> None:
        if unfinished + self._size > MAX_EVENT_BYTES:
            raise ProviderError("upstream_garbage", GARBAGE, detail="an event without end")

    def _take(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                # No JSON goes on so: two objects, or one and [DONE], without the blank line between events.
                if self._data and value[:1] in (b"{", b"[") and self._data[-1][-1:] == b"}":
                    events.append(self._end_event())
                self._data.append(value)
                self._size += len(value)
            elif not line:
                if self._data and (data := self._end_event()):
                    events.append(data)
                self._failed, self._name = False, b""
            elif line == b"data":  # a line without a colon is the name of a field with an empty value
                self._data.append(b"")
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
                self._failed = self._name == b"error"
            elif line.startswith(b"error:"):
                events.append(_as_error(line[6:].strip()))
            elif line[:1] == b"{" and line[-1:] == b"}":
                events.append(line)
            elif not line.startswith((b":", b"id", b"retry")):
                self.unknown += 1
        return events

    def _end_event(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        if self._named and self._name not in data and _NAME.fullmatch(self._name) and data[:1] == b"{":
            inside = data[1:].lstrip()
            return b'{"type":"' + self._name + (b'"}' if inside == b"}" else b'",' + inside)
        return _as_error(data) if self._failed and data else data

    def end(self) -> list[bytes]:
        """The incomplete event at the end of the bytes. The standard drops it; some servers omit the last line."""
        lines = [b"".join((self._tail, *self._more)).rstrip(b"\r"), b""]
        self._tail = b""
        self._more.clear()
        return self._take(lines)


def _as_error(data: bytes) -> bytes:
    """What an event says that is an error, as an object with an `error`."""
    if data[:1] != b"{":
        return json.dumps({"error": data.decode(errors="replace")}).encode()
    return data if b'"error"' in data else b'{"error":' + data + b"}"


class LineSplitter:
    """Splits newline-delimited JSON into its lines. A chunk of bytes may end anywhere."""

    def __init__(self) -> None:
        self.unknown = 0  # as of an `EventSplitter`; every line is an event here
        self._tail = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without blank ones. Raises `ProviderError` when one grows too long."""
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        if len(self._tail) > MAX_EVENT_BYTES:
            raise ProviderError("upstream_garbage", GARBAGE, detail="a line without end")
        return [line for line in lines if line.strip()]

    def end(self) -> list[bytes]:
        """The last line, where no line break follows it."""
        tail, self._tail = self._tail, b""
        return [tail] if tail.strip() else []
