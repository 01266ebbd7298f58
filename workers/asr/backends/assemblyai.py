"""AssemblyAI, streaming v3: https://www.assemblyai.com/docs/streaming/message-sequence

A turn is an utterance. `transcript` holds finished words only, so partials are made of `words`. The models of the
family Universal-Streaming get `format_turns`, and a turn of theirs ends twice: plain, then formatted; the second is the
final. Later models always format, and take the languages to expect. The open connection is billed: it is always
terminated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection

from workers.asr.backends.websocket import WireSession, connect_to, mean
from workers.asr.base import SAMPLE_RATE, AsrCaps, AsrConfig, unavailable
from workers.asr.utterances import Utterances

VERSION = "2025-05-12"
UNFORMATTED = "universal-streaming"  # how the names of models begin that format only when asked to
ENGLISH_ONLY = "universal-streaming-english"


@dataclass(frozen=True, slots=True)
class AssemblyAIBackend:
    """`url` is the service's root: `wss://streaming.assemblyai.com`, in Europe `wss://streaming.eu.assemblyai.com`."""

    key: str = field(repr=False)
    url: str = "wss://streaming.assemblyai.com"
    model: str = "universal-3-5-pro"
    name = "assemblyai"

    @property
    def caps(self) -> AsrCaps:
        languages = ("en",) if self.model == ENGLISH_ONLY else ()
        return AsrCaps(server_endpointing=True, remote=True, languages=languages, max_session_s=3 * 3600)

    async def prepare(self) -> None:
        """Does nothing: there is no model to load."""

    async def open(self, config: AsrConfig) -> AssemblyAISession:
        query: dict[str, str | int] = {
            "speech_model": self.model,
            "sample_rate": SAMPLE_RATE,
            "encoding": "pcm_s16le",
            "min_turn_silence": config.endpoint_silence_ms,
        }
        if self.model.startswith(UNFORMATTED):
            query["format_turns"] = "true"
        if self.model != ENGLISH_ONLY:
            query["language_codes"] = json.dumps([config.language.partition("-")[0].lower()])
        if config.vocabulary:
            query["keyterms_prompt"] = json.dumps(config.vocabulary)
        url = f"{self.url.rstrip('/')}/v3/ws?{urlencode(query)}"
        headers = {"Authorization": self.key, "AssemblyAI-Version": VERSION}
        return AssemblyAISession(await connect_to(url, headers))

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "model": self.model, "key": bool(self.key)}

    async def aclose(self) -> None:
        """Does nothing: each session closes its own connection."""


class AssemblyAISession(WireSession):
    flush_type = "ForceEndpoint"
    close_type = "Terminate"

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self._utterances = Utterances(self.events)
        self._turn: dict[str, Any] | None = None
        self._done = -1  # the last turn whose final was published

    def on_message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "Turn":
            self._on_turn(message)
        elif kind == "Error":
            raise unavailable(f"the service said {message.get('error_code', 'Error')}")

    def _on_turn(self, turn: dict[str, Any]) -> None:
        if turn["turn_order"] <= self._done:
            return
        if self._turn is not None and turn["turn_order"] > self._turn["turn_order"]:
            self.finish()  # the formatted end is missing
        self._turn = turn
        words = turn["words"]
        if not turn["end_of_turn"]:
            if words:
                said = " ".join(word["text"] for word in words)
                self._utterances.partial(said, words[0]["start"], words[-1]["end"])
        elif turn["turn_is_formatted"]:
            self.finish()

    def finish(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        self._done = turn["turn_order"]
        words = turn["words"]
        text = turn["transcript"] if turn["end_of_turn"] else " ".join(word["text"] for word in words)
        start, end = (words[0]["start"], words[-1]["end"]) if words else (0, 0)
        self._utterances.final(text, start, end, mean([word["confidence"] for word in words]))
