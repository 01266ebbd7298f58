"""The interface of speech synthesis.

A backend turns one sentence into mono PCM16 at 24 kHz, as a stream. Every backend follows the same rules, which one
suite checks (tests/integration/workers/tts/test_conformance.py):

- pieces come as soon as they are there and can have any size, also an odd one
- whoever iterates can stop at any time; the backend then ends its request
- a failure raises `TtsError`, before the first piece or between two
- formats, rates and authentication are the backend's business; no error and no log contains a key
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from django.utils.translation import gettext as _

SAMPLE_RATE: Final = 24_000
BYTES_PER_MS: Final = SAMPLE_RATE * 2 // 1000
LONGEST_MS: Final = 90_000  # of one sentence: a backend that gives more is broken


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """How a sentence is spoken. `voice`: as SPEECH_VOICES names it; `speed`: 1 is the voice's own; `language`: a BCP 47
    tag, or empty for whatever the backend makes of the text.
    """

    voice: str
    speed: float = 1.0
    language: str = ""


class TtsError(Exception):
    """A backend cannot speak a sentence. `message` is for the listener, `detail` for the log; no key is in them."""

    def __init__(self, code: str, message: str, *, detail: str = "") -> None:
        super().__init__(f"{code}: {detail or message}")
        self.code = code
        self.message = message
        self.detail = detail


def unavailable(detail: str) -> TtsError:
    """The error of a backend that is down, refuses, or does not answer."""
    return TtsError(
        "speech_unavailable",
        _("The server can’t read aloud right now. Use one of this browser’s voices, or try again in a moment."),
        detail=detail,
    )


class TtsBackend(Protocol):
    """A way to synthesise speech. `model` and `endpoint` are its names in the usage ledger."""

    name: str
    model: str
    endpoint: str

    async def prepare(self) -> None:
        """Loads what the first listener should not wait for."""

    def speak(self, text: str, config: SpeechConfig) -> AsyncGenerator[bytes]: ...

    async def check(self) -> dict[str, Any]: ...

    async def aclose(self) -> None: ...
