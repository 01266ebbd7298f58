"""Server-sent events as bytes, made once for all who watch (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from chat.protocol.commands import Position

_encoder = msgspec.json.Encoder()


class Frame(NamedTuple):
    """One event for a stream, and the same as a chunk of HTTP/1.1 (RFC 9112 §7.1)."""

    plain: bytes
    chunk: bytes


def make_frame(text: bytes) -> Frame:
    return Frame(text, b"%x\r\n%b\r\n" % (len(text), text))


def event_frame(body: dict[str, Any], at: Position | None = None, *, name: str = "") -> Frame:
    """An event with JSON as its data. `at` becomes its id, and so the place from which the client resumes."""
    head = f"event: {name}\n" if name else ""
    place = f"id: {at.epoch}.{at.seq}\n" if at is not None else ""
    return make_frame(b"%bdata: %b\n\n" % ((head + place).encode(), _encoder.encode(body)))


HEARTBEAT = make_frame(b":\n\n")


def retry_frame(milliseconds: int) -> Frame:
    """How long the client waits before it connects again."""
    return make_frame(f"retry: {milliseconds}\n\n".encode())


def parse_position(text: str) -> Position | None:
    """The position of a `Last-Event-ID`; None if it is missing or malformed, so that a snapshot is sent."""
    epoch, _, number = text.partition(".")
    if not epoch or len(epoch) > 32 or not number.isascii() or not number.isdecimal() or len(number) > 15:
        return None
    return Position(epoch, int(number))
