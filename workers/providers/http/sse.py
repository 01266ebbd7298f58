"""Splits the bytes of an event stream into the data of its events, as the HTML standard says.

Source: WHATWG HTML §9.2.5 (parsing an event stream) and §9.2.6 (interpreting an event stream). Pure: no I/O.
"""

from __future__ import annotations

from typing import Final

from workers.providers.base import ProviderError

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
GARBAGE: Final = "The model's server sent an unexpected response."


class EventSplitter:
    """Splits bytes into the data of server-sent events. A chunk of bytes may end anywhere, even inside a character.

    The byte order mark must have been removed (`AnswerReader` does it). Events without data are not returned, and
    comments and the fields `event`, `id` and `retry` are not used.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now. Raises `ProviderError` when one grows over `MAX_EVENT_BYTES`."""
        if self._tail:
            data = self._tail + data
        held = b""
        if b"\r" in data:  # a line may end with CR LF, LF or CR; the LF of a last CR may still come
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        tail = lines.pop()
        self._tail = tail + held
        events = self._take(lines)
        if len(tail) + self._size > MAX_EVENT_BYTES:
            raise ProviderError("upstream_garbage", GARBAGE, detail="an event without end")
        return events

    def _take(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(value)
                self._size += len(value)
            elif line == b"data":  # a line without a colon is the name of a field with an empty value
                self._data.append(b"")
            elif not line and self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                if data:
                    events.append(data)
                self._data.clear()
                self._size = 0
        return events

    def end(self) -> list[bytes]:
        """The incomplete event at the end of the bytes. The standard drops it; some servers omit the last line."""
        lines = [self._tail.rstrip(b"\r"), b""]
        self._tail = b""
        return self._take(lines)


class LineSplitter:
    """Splits newline-delimited JSON into its lines. A chunk of bytes may end anywhere."""

    def __init__(self) -> None:
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
