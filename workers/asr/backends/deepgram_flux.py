"""Deepgram Flux, live v2: https://developers.deepgram.com/docs/flux/state

The model itself finds where a turn ends, going by what was said. A turn is an utterance. Each message `TurnInfo` has
the whole transcript of the turn; `EndOfTurn` has the final one.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection

from workers.asr.backends.websocket import WireSession, connect_to, mean
from workers.asr.base import SAMPLE_RATE, AsrConfig, unavailable
from workers.asr.utterances import Utterances

PREFIX: Final = "flux-"  # of the names of its models
MULTILINGUAL: Final = "flux-general-multi"
ENGLISH_ONLY: Final = "flux-general-en"
LONGEST_SILENCE_MS: Final = 5_000  # at the latest then a turn ends


async def open_flux(url: str, key: str, model: str, config: AsrConfig) -> FluxSession:
    """Opens a session of the service at `url`. Raises `AsrError`."""
    query: list[tuple[str, str | int]] = [
        ("model", model),
        ("encoding", "linear16"),
        ("sample_rate", SAMPLE_RATE),
        ("eot_timeout_ms", LONGEST_SILENCE_MS),
        *(("keyterm", word) for word in config.vocabulary),
    ]
    if model == MULTILINGUAL:
        query.append(("language_hint", config.language.partition("-")[0].lower()))
    return FluxSession(await connect_to(f"{url}/v2/listen?{urlencode(query)}", {"Authorization": f"Token {key}"}))


class FluxSession(WireSession):
    flush_type = "ForceEndTurn"
    close_type = "CloseStream"

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self._utterances = Utterances(self.events)
        self._turn: dict[str, Any] | None = None  # the last message of the turn in progress

    def on_message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "TurnInfo":
            self._on_turn(message)
        elif kind == "Error":
            raise unavailable(f"the service said {str(message.get('code', 'Error'))[:60]}")

    def _on_turn(self, turn: dict[str, Any]) -> None:
        if turn["event"] != "EndOfTurn" and not turn["transcript"].strip():
            return  # of the silence between turns, too
        self._turn = turn
        if turn["event"] == "EndOfTurn":
            self.finish()
        else:
            start_ms, end_ms = _times(turn)
            self._utterances.partial(turn["transcript"], start_ms, end_ms)

    def finish(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            confidence = mean([word["confidence"] for word in turn.get("words") or []])
            self._utterances.final(turn["transcript"], *_times(turn), confidence)


def _times(turn: dict[str, Any]) -> tuple[int, int]:
    """When the turn's words began and ended, in milliseconds; only some models say it of words."""
    words = turn.get("words") or []
    start = words[0].get("start") if words else None
    end = words[-1].get("end") if words else None
    start = turn["audio_window_start"] if start is None else start
    end = turn["audio_window_end"] if end is None else end
    return round(start * 1000), round(end * 1000)
