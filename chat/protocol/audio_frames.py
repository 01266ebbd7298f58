"""The binary audio frame: a fixed header, then 16-bit PCM. See docs/protocol.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from chat.protocol.errors import Invalid, TooLarge
from chat.protocol.limits import MAX_AUDIO_BYTES

SAMPLE_RATE: Final = 16_000
BYTES_PER_MS: Final = SAMPLE_RATE * 2 // 1000
MICROPHONE: Final = 1
LAST: Final = 1  # bit of the flags
MIN_FRAME_MS: Final = 20
FRAME_MS: Final = 100  # what a client should send


@dataclass(frozen=True, slots=True)
class Frame:
    stream: int
    number: int
    pcm: bytes
    last: bool

    @property
    def ms(self) -> float:
        return len(self.pcm) / BYTES_PER_MS


def parse_frame(data: bytes) -> Frame:
    """Reads one binary frame. Raises `Invalid` or `TooLarge`."""
    if len(data) > AUDIO_HEADER.size + MAX_AUDIO_BYTES:
        raise TooLarge(f"An audio frame can have at most {MAX_AUDIO_BYTES} bytes of audio.")
    if len(data) < AUDIO_HEADER.size:
        raise Invalid(f"An audio frame begins with a header of {AUDIO_HEADER.size} bytes.")
    kind, flags, stream, number = AUDIO_HEADER.unpack_from(data)
    pcm = data[AUDIO_HEADER.size :]
    last = bool(flags & LAST)
    if kind != MICROPHONE:
        raise Invalid(f"Audio of kind {kind} is not supported.")
    if len(pcm) % 2:
        raise Invalid("16-bit audio must have an even number of bytes.")
    if len(pcm) < MIN_FRAME_MS * BYTES_PER_MS and not last:
        raise Invalid(f"An audio frame must hold at least {MIN_FRAME_MS} ms; only the last may be shorter.")
    return Frame(stream, number, pcm, last)


AUDIO_HEADER: Final = struct.Struct("!BBHI")
