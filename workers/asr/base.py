"""The interface of speech recognisers.

A backend opens sessions; a session takes 16 kHz mono PCM16 and reports `AsrEvent`s. Every backend follows the same
rules, which one test suite checks (tests/integration/workers/asr/test_conformance.py):

- utterances count up from 1; each goes `speech_started`, any number of `partial`s, `speech_stopped`, one `final`
- the text of a partial is the whole utterance so far and replaces the last one
- the final is authoritative, and empty when it was noise
- after `aclose(drain=True)` the utterance in progress is finished as usual, then the iteration ends
- a broken session raises `AsrError` from `send` and from the iteration
- framing, resampling, keep-alive and authentication are done by the session; no error and no log contains a key
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from django.utils.translation import gettext as _

SAMPLE_RATE: Final = 16_000
BYTES_PER_MS: Final = SAMPLE_RATE * 2 // 1000

# "reconnected": a chain had to open its backend again; `at_ms` is how much audio was sent to it again.
AsrEventKind = Literal["speech_started", "partial", "speech_stopped", "final", "reconnected"]


@dataclass(frozen=True, slots=True)
class AsrConfig:
    """Options of one recording. `language` is a BCP 47 tag; times are milliseconds."""

    language: str = "en"
    endpoint_silence_ms: int = 500
    max_utterance_ms: int = 30_000
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AsrCaps:
    """What a backend can do. `languages` are primary subtags; empty means any. `remote`: audio leaves this machine."""

    server_endpointing: bool
    append_only: bool = False  # a partial only ever grows
    remote: bool = False
    languages: tuple[str, ...] = ()
    max_session_s: int | None = None


@dataclass(frozen=True, slots=True)
class AsrEvent:
    """`at_ms`, `start_ms` and `end_ms` count from the first sample the session was given."""

    kind: AsrEventKind
    utterance: int
    text: str = ""
    at_ms: int = 0
    start_ms: int = 0
    end_ms: int = 0
    confidence: float | None = None


class AsrError(Exception):
    """A recogniser cannot continue. `message` is for the speaker, `detail` for the log; neither contains a key."""

    def __init__(self, code: str, message: str, *, retryable: bool = True, detail: str = "") -> None:
        super().__init__(f"{code}: {detail or message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.detail = detail


def unavailable(detail: str, *, retryable: bool = True) -> AsrError:
    """The error of a recogniser that is down, has crashed or does not answer."""
    return AsrError(
        "asr_unavailable",
        _("Speech recognition is not available right now. You can type instead, or try again in a moment."),
        retryable=retryable,
        detail=detail,
    )


def busy(detail: str) -> AsrError:
    """The error where every recogniser of this process is in use."""
    return AsrError("busy", _("All speech recognisers are in use. Try again in a moment."), detail=detail)


class AsrSession(Protocol):
    """One stream of audio."""

    async def send(self, pcm: bytes) -> None:
        """Sends PCM of any even length; waits while the recogniser is behind."""

    async def flush(self) -> None:
        """Ends the utterance in progress now."""

    def __aiter__(self) -> AsyncIterator[AsrEvent]: ...

    async def aclose(self, *, drain: bool = True, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- of the far end
        """Ends the session; with `drain`, finishes the utterance in progress first, for `timeout` seconds at most."""


class AsrBackend(Protocol):
    """A recogniser of one kind. `prepare` loads what the first speaker should not wait for."""

    name: str

    @property
    def caps(self) -> AsrCaps: ...

    async def prepare(self) -> None: ...

    async def open(self, config: AsrConfig) -> AsrSession: ...

    async def check(self) -> dict[str, Any]: ...

    async def aclose(self) -> None: ...


def check_language(backend: AsrBackend, language: str) -> None:
    """Raises `AsrError` where a recogniser does not know this language: the next one of the chain may."""
    known = backend.caps.languages
    if known and language.partition("-")[0].lower() not in known:
        raise AsrError(
            "asr_unavailable",
            _("Speech recognition on this server does not know that language. Choose another one in the settings."),
            retryable=False,
            detail=f"{backend.name} has no model for {language}",
        )


class EventStream:
    """The iteration of a session: events in order, then an end or an error."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[AsrEvent | None] = asyncio.Queue()
        self._error: AsrError | None = None
        self._over = False

    @property
    def over(self) -> bool:
        return self._over

    def put(self, event: AsrEvent) -> None:
        if not self._over:
            self._events.put_nowait(event)

    def end(self, error: AsrError | None = None) -> None:
        """Only the first call has an effect."""
        if not self._over:
            self._over = True
            self._error = error
            self._events.put_nowait(None)

    def raise_if_broken(self) -> None:
        if self._error is not None:
            raise self._error

    def __aiter__(self) -> AsyncIterator[AsrEvent]:
        return self._read()

    async def _read(self) -> AsyncIterator[AsrEvent]:
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # a second reader ends too
        self.raise_if_broken()
