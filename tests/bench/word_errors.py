"""How many words of twenty sentences Moonshine gets wrong, spoken by espeak-ng and, where it is installed, by flite."""

from __future__ import annotations

import array
import asyncio
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.fakes.asr_speech import RATE, frames, resample, silence, speak
from workers.asr.backends.moonshine import MoonshineBackend
from workers.asr.base import AsrConfig

SENTENCES: Final = (
    "the quick brown fox jumps over the lazy dog",
    "please write a short letter to my landlord about the broken heater",
    "what is the weather like in london tomorrow morning",
    "how many people live in the city of berlin",
    "send the meeting notes to everybody in the team",
    "explain the difference between a list and a dictionary",
    "i would like to book a table for two people at seven o'clock",
    "how do i get from the station to the museum on foot",
    "translate this sentence into french and spanish",
    "remind me to call the doctor on monday afternoon",
    "give me three reasons to learn another language",
    "which planets of the solar system have rings",
    "open the window and turn off the light in the kitchen",
    "the train to the airport leaves every twenty minutes",
    "she bought fresh bread and a bottle of milk at the market",
    "write a poem about the sea in winter",
    "my computer does not start any more what can i do",
    "the children played in the garden until it was dark",
    "how long does it take to boil an egg",
    "we will meet again next week at the same place",
)


def flite(text: str) -> bytes:
    """`text` spoken by flite's voice slt, as 16 kHz mono PCM16."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "speech.wav")
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(file)], check=True, timeout=20)
        with wave.open(str(file)) as spoken:
            samples = array.array("h", spoken.readframes(spoken.getnframes()))
            return resample(samples, spoken.getframerate(), RATE).tobytes()


def words_of(text: str) -> list[str]:
    return re.sub(r"[^\w' ]", " ", text.lower().replace("-", "")).split()


def wrong_words(said: Sequence[str], heard: Sequence[str]) -> int:
    """Substitutions, deletions and insertions: the edit distance of the two, in words."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


async def transcribe(backend: MoonshineBackend, pcm: bytes) -> str:
    session = await backend.open(AsrConfig())

    async def read() -> list[str]:
        return [event.text async for event in session if event.kind == "final"]

    reader = asyncio.create_task(read())
    for chunk in frames(silence(400) + pcm + silence(800)):
        await session.send(chunk)
    await session.aclose(timeout=30)
    return " ".join(await reader)


async def show() -> None:
    """Prints a row for each voice."""
    voices: dict[str, Callable[[str], bytes]] = {"espeak-ng": speak}
    if shutil.which("flite"):
        voices["flite"] = flite
    print(f"\nMoonshine      wrong words      sentences without one (of {len(SENTENCES)})")
    backend = MoonshineBackend()
    try:
        await backend.prepare()
        for name, voice in voices.items():
            wrong = [
                wrong_words(words_of(said), words_of(await transcribe(backend, voice(said)))) for said in SENTENCES
            ]
            share = sum(wrong) / sum(len(words_of(said)) for said in SENTENCES)
            print(f"  {name:<12} {share:10.1%}       {wrong.count(0)}", flush=True)
    finally:
        await backend.aclose()
