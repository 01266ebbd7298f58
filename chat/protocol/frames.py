"""Encodes frames for the wire."""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def encode(frame: dict[str, Any]) -> str:
    """A frame as it is sent: compact JSON."""
    return _encoder.encode(frame).decode()


def encode_event(event: dict[str, Any]) -> bytes:
    """An event as it is logged: JSON without `seq`, which `stamp` puts in front once the log has assigned it."""
    return _encoder.encode(event)


def stamp(seq: int, body: bytes) -> str:
    """The frame of a logged event: `body` with its `seq` as the first field."""
    return f'{{"seq":{seq},' + body[1:].decode()
