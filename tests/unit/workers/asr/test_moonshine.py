"""How Moonshine's engine transcribes an utterance: what it asks its decoder, and when. The decoder is scripted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import cast

import pytest

from workers.asr.backends import moonshine
from workers.asr.backends.decoder_client import DecoderClient
from workers.asr.backends.moonshine import MoonshineEngine
from workers.asr.backends.moonshine_process import FINAL, PARTIAL, Turns
from workers.asr.base import BYTES_PER_MS, AsrError, unavailable

SECOND = bytes(1000 * BYTES_PER_MS)


class ScriptedDecoder:
    """Answers with the seconds of audio that it got, once `go` is set."""

    pid = 1

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: AsrError | None = None

    async def call(self, operation: bytes, payload: bytes = b"") -> str:
        self.asked.append((operation, len(payload) // len(SECOND)))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return f"{len(payload) // len(SECOND)}s"

    def close(self) -> None:
        pass


async def begun(decoder: ScriptedDecoder, on_partial: Callable[[str], None] = lambda _: None) -> MoonshineEngine:
    engine = MoonshineEngine(cast("DecoderClient", decoder), on_close=lambda _: None)
    await engine.begin(on_partial)
    return engine


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_final_transcript_is_made_while_it_is_quiet() -> None:
    decoder = ScriptedDecoder()
    decoder.go.clear()
    engine = await begun(decoder)
    await engine.feed(SECOND)
    await settle()
    await engine.feed(SECOND)
    await engine.pause(b"")
    decoder.go.set()
    await settle()
    assert decoder.asked == [(PARTIAL, 1), (FINAL, 2)]
    assert (await engine.finish()).text == "2s"
    assert len(decoder.asked) == 2, "nothing is left to do at the end"


async def test_no_partial_begins_in_a_silence_and_delays_the_final_transcript() -> None:
    decoder = ScriptedDecoder()
    engine = await begun(decoder)
    await engine.feed(SECOND)
    await settle()
    await engine.pause(SECOND)
    await settle()
    assert (await engine.finish()).text == "2s"
    assert decoder.asked == [(PARTIAL, 1), (FINAL, 2)]


async def test_what_came_after_the_silence_is_in_the_final_transcript() -> None:
    decoder = ScriptedDecoder()
    engine = await begun(decoder)
    await engine.feed(SECOND)
    await engine.pause(b"")
    await settle()
    await engine.feed(SECOND)
    assert (await engine.finish()).text == "2s"


async def test_a_long_utterance_is_cut_at_its_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moonshine, "SEGMENT_MS", 3000)
    monkeypatch.setattr(moonshine, "PARTIAL_SHARE", 1.0)  # as often as there is new audio
    decoder, shown = ScriptedDecoder(), list[str]()
    engine = await begun(decoder, shown.append)
    for number in range(1, 8):
        await engine.feed(SECOND)
        if number in {2, 4}:
            await engine.pause(b"")
        await settle()
    assert (await engine.finish()).text == "4s 3s", "the first pause came before the segment was long enough"
    assert "4s 1s" in shown
    assert max(seconds for _, seconds in decoder.asked) == 4


async def test_a_segment_ends_although_speech_went_on_before_it_was_transcribed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moonshine, "SEGMENT_MS", 3000)
    monkeypatch.setattr(moonshine, "PARTIAL_SHARE", 1.0)  # as often as there is new audio
    decoder = ScriptedDecoder()
    engine = await begun(decoder)
    await engine.feed(3 * SECOND)
    await settle()
    decoder.go.clear()
    await engine.feed(SECOND)
    await engine.pause(b"")
    await engine.feed(2 * SECOND)
    decoder.go.set()
    await settle()
    assert (await engine.finish()).text == "4s 2s"


async def test_partials_leave_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("workers.asr.backends.moonshine.monotonic", lambda: now)
    decoder = ScriptedDecoder()
    decoder.go.clear()
    engine = await begun(decoder)
    await engine.feed(SECOND)
    await settle()
    now += 0.8
    decoder.go.set()
    await settle()
    await engine.feed(SECOND)
    await settle()
    assert len(decoder.asked) == 1, "the last one took 0.8 s"
    now += 0.8
    await engine.feed(SECOND)
    await settle()
    assert len(decoder.asked) == 2


@pytest.mark.parametrize("then", ["feed", "pause", "finish"])
async def test_a_transcription_that_fails_ends_the_session(then: str) -> None:
    decoder = ScriptedDecoder()
    decoder.error = unavailable("the decoder ended")
    engine = await begun(decoder)
    await engine.feed(SECOND)
    await settle()
    with pytest.raises(AsrError):
        await (engine.finish() if then == "finish" else getattr(engine, then)(SECOND))
    await engine.aclose()


def test_a_final_transcript_goes_before_partials() -> None:
    turns, order = Turns(), list[str]()
    waiting = threading.Barrier(3)

    def transcribe(name: str, *, final: bool) -> None:
        waiting.wait()
        with turns.turn(final=final):
            order.append(name)

    with turns.turn(final=False):
        threads = [
            threading.Thread(target=transcribe, args=(name,), kwargs={"final": name == "final"})
            for name in ("partial", "final")
        ]
        for thread in threads:
            thread.start()
        waiting.wait()
        while turns._finals == 0:
            pass
    for thread in threads:
        thread.join()
    assert order == ["final", "partial"]
