"""Speechmatics, real-time v2: https://docs.speechmatics.com/api-ref/realtime-transcription-websocket

Audio may follow `RecognitionStarted` only, and is acknowledged chunk by chunk. `AddTranscript` has the next words that
will not change, `AddPartialTranscript` those after them. `EndOfUtterance` comes after the silence that the session asks
for; an utterance is all final words until then. The texts are made to be joined as they are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.asyncio.client import ClientConnection

from workers.asr.backends.websocket import FRAME_BYTES, WireSession, connect_to, mean
from workers.asr.base import BYTES_PER_MS, SAMPLE_RATE, AsrCaps, AsrConfig, AsrError, busy, unavailable
from workers.asr.utterances import Utterances

START_SECONDS: Final = 5.0
MAX_DELAY_S: Final = 1.0  # until a word is final; has to be longer than the silence that ends an utterance
LONGEST_SILENCE_S: Final = 2.0
# Its names of languages, where they are not the primary subtag.
LANGUAGES: Final = {"zh": "cmn", "nb": "no", "nn": "no", "fil": "tl"}
ENGLISH: Final = frozenset({"en-GB", "en-US", "en-AU"})  # whose spelling can be chosen
BUSY: Final = frozenset({"quota_exceeded", "timelimit_exceeded"})
# What another try would not change.
LASTING: Final = frozenset(
    {
        "not_authorised", "not_allowed", "invalid_message", "invalid_model", "invalid_language", "invalid_config",
        "invalid_audio_type",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpeechmaticsBackend:
    """`url` is the service's root: `wss://eu.rt.speechmatics.com`, or of another region."""

    key: str = field(repr=False)
    url: str = "wss://eu.rt.speechmatics.com"
    model: str = "enhanced"
    name = "speechmatics"
    caps = AsrCaps(server_endpointing=True, remote=True, max_session_s=48 * 3600)

    async def prepare(self) -> None:
        """Does nothing: there is no model to load."""

    async def open(self, config: AsrConfig) -> SpeechmaticsSession:
        connection = await connect_to(f"{self.url.rstrip('/')}/v2", {"Authorization": f"Bearer {self.key}"})
        session = SpeechmaticsSession(connection)
        try:
            await session.start(_request(self.model, config))
        except BaseException:
            await session.aclose(drain=False)
            raise
        return session

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "model": self.model, "key": bool(self.key)}

    async def aclose(self) -> None:
        """Does nothing: each session closes its own connection."""


def _request(model: str, config: AsrConfig) -> dict[str, Any]:
    silence = min(config.endpoint_silence_ms / 1000, LONGEST_SILENCE_S)
    primary = config.language.partition("-")[0].lower()
    transcription: dict[str, Any] = {
        "language": LANGUAGES.get(primary, primary),
        "model": model,
        "enable_partials": True,
        "max_delay": max(MAX_DELAY_S, silence + 0.1),
        "conversation_config": {"end_of_utterance_silence_trigger": silence},
    }
    if config.language in ENGLISH:
        transcription["output_locale"] = config.language
    if config.vocabulary:
        transcription["additional_vocab"] = [{"content": word} for word in config.vocabulary]
    return {
        "message": "StartRecognition",
        "audio_format": {"type": "raw", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE},
        "transcription_config": transcription,
    }


class SpeechmaticsSession(WireSession):
    flush_type = "ForceEndOfUtterance"
    close_type = "EndOfStream"

    def __init__(self, connection: ClientConnection) -> None:
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        super().__init__(connection)
        self._utterances = Utterances(self.events)
        self._chunks = 0  # of audio that were sent
        self._results: list[dict[str, Any]] = []  # the final words of the utterance
        self._text = ""  # of these words
        self._partial: tuple[str, list[dict[str, Any]]] = ("", [])  # of what follows them
        self._closer: asyncio.Task[None] | None = None

    async def start(self, request: dict[str, Any]) -> None:
        """Returns once the service takes audio. Raises `AsrError`."""
        await self.transmit(request)
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.shield(self._started)
        except TimeoutError:
            raise unavailable("the service did not start") from None

    async def transmit(self, message: bytes | dict[str, Any]) -> None:
        self._chunks += isinstance(message, bytes)
        await super().transmit(message)

    def flush_message(self) -> dict[str, Any]:
        return {"message": self.flush_type, "timestamp": self._chunks * FRAME_BYTES / BYTES_PER_MS / 1000}

    def close_message(self) -> dict[str, Any]:
        return {"message": self.close_type, "last_seq_no": self._chunks}

    def on_message(self, message: dict[str, Any]) -> None:
        kind = message["message"]
        if kind == "RecognitionStarted" and not self._started.done():
            self._started.set_result(None)
        elif kind == "AddPartialTranscript":
            self._partial = message["metadata"]["transcript"], message["results"]
            self._show()
        elif kind == "AddTranscript":
            self._text += message["metadata"]["transcript"]
            self._results += message["results"]
            self._partial = "", []
            self._show()
        elif kind == "EndOfUtterance":
            self.finish()
        elif kind == "EndOfTranscript":
            self._closer = asyncio.create_task(self._connection.close())
        elif kind == "Error":
            raise _error_of(str(message["type"]))

    def _show(self) -> None:
        text, results = self._partial
        start_ms, end_ms = _times([*self._results, *results])
        self._utterances.partial(self._text + text, start_ms, end_ms)

    def finish(self) -> None:
        """What was no final word yet when the utterance ends is taken as it is."""
        text, results = self._partial
        all_results = [*self._results, *results]
        self._utterances.final(self._text + text, *_times(all_results), mean(_confidences(all_results)))
        self._results, self._text, self._partial = [], "", ("", [])

    def on_end(self, error: AsrError | None) -> None:
        if not self._started.done():
            self._started.set_exception(error or unavailable("the session has ended"))
            self._started.exception()  # nobody may wait for it any more
        super().on_end(error)


def _error_of(kind: str) -> AsrError:
    if kind in BUSY:
        return busy(f"the service said {kind[:60]}")
    return unavailable(f"the service said {kind[:60]}", retryable=kind not in LASTING)


def _times(results: list[dict[str, Any]]) -> tuple[int, int]:
    """When the first word begins and the last one ends, in milliseconds."""
    if not results:
        return 0, 0
    return round(results[0]["start_time"] * 1000), round(results[-1]["end_time"] * 1000)


def _confidences(results: list[dict[str, Any]]) -> list[float]:
    return [one["alternatives"][0]["confidence"] for one in results if one.get("alternatives")]
