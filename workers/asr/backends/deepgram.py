"""Deepgram, live v1: https://developers.deepgram.com/docs/understand-endpointing-interim-results

`is_final` closes a segment only. An utterance is the segments until `speech_final`, or `UtteranceEnd` where noise
keeps that from coming. `SpeechStarted` is not matched by an end: the first text is the start.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection

from workers.asr.backends.deepgram_flux import ENGLISH_ONLY, PREFIX, FluxSession, open_flux
from workers.asr.backends.websocket import WireSession, connect_to, mean
from workers.asr.base import SAMPLE_RATE, AsrCaps, AsrConfig, unavailable
from workers.asr.utterances import Utterances

FLUSH_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class DeepgramBackend:
    """`url` is the service's root, `wss://api.deepgram.com`. Models named `flux-…` are of its API v2."""

    key: str = field(repr=False)
    url: str = "wss://api.deepgram.com"
    model: str = "nova-3"
    name = "deepgram"

    @property
    def caps(self) -> AsrCaps:
        return AsrCaps(server_endpointing=True, remote=True, languages=("en",) if self.model == ENGLISH_ONLY else ())

    async def prepare(self) -> None:
        """Does nothing: there is no model to load."""

    async def open(self, config: AsrConfig) -> DeepgramSession | FluxSession:
        if self.model.startswith(PREFIX):
            return await open_flux(self.url.rstrip("/"), self.key, self.model, config)
        query: list[tuple[str, str | int]] = [
            ("model", self.model),
            ("language", config.language),
            ("encoding", "linear16"),
            ("sample_rate", SAMPLE_RATE),
            ("channels", 1),
            ("interim_results", "true"),
            ("endpointing", config.endpoint_silence_ms),
            ("utterance_end_ms", max(1000, config.endpoint_silence_ms)),
            ("smart_format", "true"),
            ("punctuate", "true"),
            *(("keyterm", word) for word in config.vocabulary),
        ]
        url = f"{self.url.rstrip('/')}/v1/listen?{urlencode(query)}"
        return DeepgramSession(await connect_to(url, {"Authorization": f"Token {self.key}"}))

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "model": self.model, "key": bool(self.key)}

    async def aclose(self) -> None:
        """Does nothing: each session closes its own connection."""


class DeepgramSession(WireSession):
    flush_type = "Finalize"
    close_type = "CloseStream"
    keep_alive_type = "KeepAlive"  # without audio or this for 10 s Deepgram closes

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self._utterances = Utterances(self.events)
        self._segments: list[str] = []
        self._confidences: list[float] = []
        self._interim = ""
        self._start_ms: int | None = None
        self._end_ms = 0
        self._finish_timer: asyncio.TimerHandle | None = None

    async def flush(self) -> None:
        """Where no `from_finalize` comes, the utterance ends a second later with the transcript so far."""
        await super().flush()
        if self._finish_timer is None:
            self._finish_timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.finish)

    def on_message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "Results":
            self._on_results(message)
        elif kind == "UtteranceEnd":
            self.finish()
        elif kind == "Error":
            raise unavailable(f"the service said {str(message.get('variant', 'Error'))[:60]}")

    def _on_results(self, message: dict[str, Any]) -> None:
        best = message["channel"]["alternatives"][0]
        text = best["transcript"].strip()
        end_ms = round((message["start"] + message["duration"]) * 1000)
        words = best.get("words") or []
        if text:
            if self._start_ms is None:
                self._start_ms = round((words[0]["start"] if words else message["start"]) * 1000)
            self._end_ms = round(words[-1]["end"] * 1000) if words else end_ms
        if message["is_final"]:
            self._interim = ""
            if text:
                self._segments.append(text)
                self._confidences.append(best["confidence"])
        else:
            self._interim = text
        self._utterances.partial(self._text(), self._start_ms or 0, end_ms)
        if message.get("speech_final") or message.get("from_finalize"):
            self.finish()

    def _text(self) -> str:
        return " ".join([*self._segments, self._interim])

    def finish(self) -> None:
        if self._finish_timer is not None:
            self._finish_timer.cancel()
            self._finish_timer = None
        self._utterances.final(self._text(), self._start_ms or 0, self._end_ms, mean(self._confidences))
        self._segments, self._confidences, self._interim, self._start_ms = [], [], "", None
