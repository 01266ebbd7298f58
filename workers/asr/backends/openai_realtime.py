"""OpenAI's realtime transcription sessions: https://platform.openai.com/docs/guides/realtime-transcription

Two forms: GA (`session.update` with a session of type transcription) and the beta one, which self-hosted gateways
still speak. The live models accept no server VAD: then turns are ours to commit; where a model has it, the service
finds them (`openai_turns`). Audio is 24 kHz.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection

from workers.asr.audio.gated_session import FinalTranscript, GatedSession
from workers.asr.audio.resample import Upsampler
from workers.asr.backends.openai_turns import NO_AUDIO, PREFIX, RATE, TurnsSession, code_of, retrieve_exception
from workers.asr.backends.websocket import Wire, connect_to
from workers.asr.base import BYTES_PER_MS, AsrCaps, AsrConfig, AsrError, AsrSession, unavailable

MIN_COMMIT_MS: Final = 100  # less is refused
FINISH_SECONDS: Final = 15.0
READY_SECONDS: Final = 5.0
VAD_MODELS: Final = ("gpt-4o-", "whisper-1")  # these can find turns themselves; the live models refuse to
VAD: Final = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300}
KEYWORD_MODELS: Final = ("gpt-live-transcribe", "gpt-transcribe")  # others take a prompt


@dataclass(frozen=True, slots=True)
class RealtimeBackend:
    """`url` ends in `/v1/realtime`. `model_in_url`: some gateways need it there; OpenAI itself refuses it."""

    key: str = field(repr=False)
    url: str = "wss://api.openai.com/v1/realtime"
    model: str = "gpt-live-transcribe"
    form: Literal["ga", "beta"] = "ga"
    model_in_url: bool = False
    vad: Literal["auto", "client", "server"] = "auto"  # who finds the turns; auto: the service where the model can
    name = "openai_realtime"

    @property
    def server_vad(self) -> bool:
        return self.vad == "server" or (self.vad == "auto" and self.model.startswith(VAD_MODELS))

    @property
    def caps(self) -> AsrCaps:
        return AsrCaps(server_endpointing=self.server_vad, append_only=True, remote=True, max_session_s=3600)

    async def prepare(self) -> None:
        """Does nothing: there is no model to load."""

    async def open(self, config: AsrConfig) -> AsrSession:
        query = {"intent": "transcription"} | ({"model": self.model} if self.model_in_url else {})
        headers = {"Authorization": f"Bearer {self.key}"}
        if self.form == "beta":
            headers["OpenAI-Beta"] = "realtime=v1"
        connection = await connect_to(f"{self.url}?{urlencode(query)}", headers)
        if self.server_vad:
            session = TurnsSession(connection)
            try:
                await configure(session, self._update(config))
            except BaseException:
                await session.aclose(drain=False)
                raise
            return session
        engine = RealtimeEngine(connection)
        try:
            await configure(engine, self._update(config))
        except BaseException:
            await engine.aclose()
            raise
        return GatedSession(engine, config)

    def _update(self, config: AsrConfig) -> dict[str, Any]:
        transcription: dict[str, Any] = {"model": self.model, "language": config.language.partition("-")[0]}
        if config.vocabulary and self.model in KEYWORD_MODELS:
            transcription["keywords"] = list(config.vocabulary)
        elif config.vocabulary:
            transcription["prompt"] = ", ".join(config.vocabulary)
        turns = {**VAD, "silence_duration_ms": config.endpoint_silence_ms} if self.server_vad else None
        if self.form == "beta":
            session = {
                "input_audio_format": "pcm16",
                "input_audio_transcription": transcription,
                "turn_detection": turns,
            }
            return {"type": "transcription_session.update", "session": session}
        audio = {
            "input": {
                "format": {"type": "audio/pcm", "rate": RATE},
                "noise_reduction": {"type": "near_field"},
                "transcription": transcription,
                "turn_detection": turns,
            }
        }
        return {"type": "session.update", "session": {"type": "transcription", "audio": audio}}

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "model": self.model, "key": bool(self.key)}

    async def aclose(self) -> None:
        """Does nothing: each session closes its own connection."""


async def configure(wire: RealtimeEngine | TurnsSession, update: dict[str, Any]) -> None:
    """Sends a session's settings. Raises `AsrError` where they are not confirmed."""
    await wire.transmit(update)
    try:
        async with asyncio.timeout(READY_SECONDS):
            await wire.ready
    except TimeoutError:
        raise unavailable("the session was not confirmed") from None


class RealtimeEngine(Wire):
    """One utterance is one item of the session: appended, committed, transcribed."""

    def __init__(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ready.add_done_callback(retrieve_exception)
        self._finished: asyncio.Future[FinalTranscript] | None = None
        self._error: AsrError | None = None
        self._texts: dict[str, str] = {}
        self._over: set[str] = set()
        self._on_partial: Callable[[str], None] = lambda _: None
        self._upsampler = Upsampler()
        self._fed_ms = 0
        super().__init__(connection)

    async def begin(self, on_partial: Callable[[str], None]) -> None:
        self._on_partial = on_partial
        self._fed_ms = 0
        self._finished = asyncio.get_running_loop().create_future()
        self._finished.add_done_callback(retrieve_exception)

    async def feed(self, pcm: bytes) -> None:
        if self._error is not None:
            raise self._error
        self._fed_ms += len(pcm) // BYTES_PER_MS
        audio = base64.b64encode(self._upsampler.feed(pcm)).decode()
        await self.transmit({"type": "input_audio_buffer.append", "audio": audio})

    async def pause(self, pcm: bytes) -> None:
        await self.feed(pcm)

    async def finish(self) -> FinalTranscript:
        if self._fed_ms < MIN_COMMIT_MS:
            await self.feed(bytes((MIN_COMMIT_MS - self._fed_ms + 10) * BYTES_PER_MS))
        await self.transmit({"type": "input_audio_buffer.commit"})
        assert self._finished is not None
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                return await self._finished
        except TimeoutError:
            raise unavailable(f"no transcript came within {FINISH_SECONDS:.0f} s") from None

    async def aclose(self) -> None:
        await self.end()

    def on_message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in ("session.updated", "transcription_session.updated"):
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == PREFIX + "delta":
            item = message["item_id"]
            if item not in self._over:
                self._texts[item] = self._texts.get(item, "") + message["delta"]
                self._on_partial(self._texts[item])
        elif kind == PREFIX + "completed":
            self._complete(message["item_id"], message["transcript"])
        elif kind == PREFIX + "failed":
            raise unavailable(f"transcription failed ({code_of(message)})")
        elif kind == "error":
            if code_of(message) != NO_AUDIO:
                raise unavailable(f"the service said {code_of(message)}")
            self._complete("", "")

    def _complete(self, item: str, text: str) -> None:
        self._texts.pop(item, None)
        if item in self._over:
            return
        self._over.add(item)
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(FinalTranscript(text))

    def on_end(self, error: AsrError | None) -> None:
        self._error = error or unavailable("the session is closed")
        for future in (self.ready, self._finished):
            if future is not None and not future.done():
                future.set_exception(self._error)
