"""The commands of speech from the server, sentence by sentence, and its frames (docs/protocol.md). No Django."""

from __future__ import annotations

import struct
import uuid
from typing import Annotated, Final

import msgspec

from chat.protocol.base import Command

SPEECH: Final = 2  # the kind of a binary frame from the server
SPEECH_RATE: Final = 24_000
SPEECH_BYTES_PER_MS: Final = SPEECH_RATE * 2 // 1000
SENTENCE_END: Final = 1  # bit of the flags: the last frame of a sentence
MAX_SENTENCE: Final = 600  # characters
MAX_WAITING: Final = 64  # sentences that a client may ask for before they are sent
SPEECH_AHEAD_MS: Final = 8_000  # of audio that is sent before the client reports that it was played
MIN_SPEED: Final = 0.5
MAX_SPEED: Final = 2.0

_HEADER: Final = struct.Struct("!BBHI")


class SpeechStart(Command, frozen=True, tag="tts.start"):
    """An answer will be spoken on this connection, in place of one that is. None: the server's voice."""

    message_id: uuid.UUID
    voice: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    speed: Annotated[float, msgspec.Meta(ge=MIN_SPEED, le=MAX_SPEED)] = 1.0
    language: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")] | None = None


class SpeechSay(Command, frozen=True, tag="tts.say"):
    """A sentence of the answer. Sentences are spoken by their number, from 0 without a gap."""

    speech_id: uuid.UUID
    number: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SENTENCE)]


class SpeechPlayed(Command, frozen=True, tag="tts.played"):
    """So many milliseconds of this sentence have been played, and all of those before it."""

    speech_id: uuid.UUID
    number: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class SpeechStop(Command, frozen=True, tag="tts.stop"):
    speech_id: uuid.UUID


AnySpeechCommand = SpeechStart | SpeechSay | SpeechPlayed | SpeechStop


def speech_frame(stream: int, number: int, pcm: bytes, *, ends_sentence: bool = False) -> bytes:
    """A binary frame: header as of the microphone's, then 24 kHz mono PCM16. `number` counts a stream's frames."""
    return _HEADER.pack(SPEECH, SENTENCE_END if ends_sentence else 0, stream, number) + pcm
