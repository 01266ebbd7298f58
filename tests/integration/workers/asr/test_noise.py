"""Noise in front of the recogniser that is the default: none of it becomes a transcript, so none becomes a message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.fakes.asr_recognisers import needs_moonshine
from tests.fakes.asr_speech import frames, music, silence, speak, tone, typing_noise, white_noise
from workers.asr.backends.moonshine import MoonshineBackend
from workers.asr.base import AsrConfig, AsrEvent

pytestmark = needs_moonshine
NOISES: dict[str, Callable[[], bytes]] = {
    "white, loud": lambda: white_noise(6_000, 0.9),
    "white, soft": lambda: white_noise(6_000, 0.05),
    "hum": lambda: tone(6_000, 50, 0.6),
    "hum of a machine": lambda: tone(6_000, 120, 0.4),
    "clicks": lambda: (white_noise(20, 0.9) + silence(180)) * 30,
    "knocks": lambda: (white_noise(60, 0.7) + silence(440)) * 12,
    "music": lambda: music(8_000),
    "keyboard": lambda: typing_noise(8_000),
    "bursts": lambda: (white_noise(400, 0.8) + silence(300)) * 9,
}


async def hear(backend: MoonshineBackend, pcm: bytes) -> list[AsrEvent]:
    session = await backend.open(AsrConfig())

    async def read() -> list[AsrEvent]:
        return [event async for event in session]

    reader = asyncio.create_task(read())
    for chunk in frames(pcm):
        await session.send(chunk)
    await session.aclose(timeout=20)
    return await reader


async def test_noise_is_no_message_and_a_sentence_after_it_is_one() -> None:
    backend = MoonshineBackend()
    await backend.prepare()
    try:
        for name, noise in NOISES.items():
            events = await hear(backend, silence(300) + noise() + silence(900))
            heard = [event.text for event in events if event.kind in ("partial", "final") and event.text]
            assert heard == [], name
        sentence = silence(300) + speak("please open the window") + silence(900)
        events = await hear(backend, NOISES["keyboard"]() + sentence)
        [final] = [event.text for event in events if event.kind == "final" and event.text]
        assert "open the window" in final.lower()
    finally:
        await backend.aclose()
