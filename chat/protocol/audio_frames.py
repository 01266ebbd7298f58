"""The binary audio frame: a fixed header, then 16-bit PCM. See docs/protocol.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

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
        raise TooLarge(
            _("An audio frame can have at most %(max_audio_bytes)s bytes of audio.")
            % {"max_audio_bytes": MAX_AUDIO_BYTES}
        )
    if len(data) < AUDIO_HEADER.size:
        raise Invalid(_("An audio frame begins with a header of %(size)s bytes.") % {"size": AUDIO_HEADER.size})
    kind, flags, stream, number = AUDIO_HEADER.unpack_from(data)
    pcm = data[AUDIO_HEADER.size :]
    last = bool(flags & LAST)
    if kind != MICROPHONE:
        raise Invalid(_("Audio of kind %(kind)s is not supported.") % {"kind": kind})
    if len(pcm) % 2:
        raise Invalid("16-bit audio must have an even number of bytes.")
    if len(pcm) < MIN_FRAME_MS * BYTES_PER_MS and not last:
        raise Invalid(
            _("An audio frame must hold at least %(min_frame_ms)s ms; only the last may be shorter.")
            % {"min_frame_ms": MIN_FRAME_MS}
        )
    return Frame(stream, number, pcm, last)


AUDIO_HEADER: Final = struct.Struct("!BBHI")
