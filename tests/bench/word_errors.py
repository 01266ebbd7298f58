"""How many words Moonshine gets wrong: of twenty sentences spoken by espeak-ng and, where it is installed, by flite, as
they are and in white noise; and of the two recordings of people that its package contains.
"""

from __future__ import annotations

import array
import asyncio
import math
import random
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
NOISES: Final = (None, 20, 10)  # decibels of the speech above the noise
RECORDINGS: Final = {
    "beckett": "ever tried ever failed no matter try again fail again fail better",
    "two_cities": (
        "it was the best of times it was the worst of times it was the age of wisdom it was the age of "
        "foolishness it was the epoch of belief it was the epoch of incredulity it was the season of light it "
        "was the season of darkness it was the spring of hope it was the winter of despair we had everything "
        "before us we had nothing before us we were all going direct to heaven we were all going direct the "
        "other way in short the period was so far like the present period that some of its noisiest "
        "authorities insisted on its being received for good or for evil in the superlative degree of "
        "comparison only"
    ),
}


def read(file: Path) -> bytes:
    """A WAV file of one channel, as 16 kHz PCM16."""
    with wave.open(str(file)) as spoken:
        samples = array.array("h", spoken.readframes(spoken.getnframes()))
        return resample(samples, spoken.getframerate(), RATE).tobytes()


def flite(text: str) -> bytes:
    """`text` spoken by flite's voice slt, as 16 kHz mono PCM16."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "speech.wav")
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(file)], check=True, timeout=20)
        return read(file)


def in_noise(pcm: bytes, decibels: int | None) -> bytes:
    """With white noise, the same for the same audio, so many decibels below the speech."""
    if decibels is None:
        return pcm
    samples, dice = array.array("h", pcm), random.Random(1)
    loudness = math.sqrt(sum(sample * sample for sample in samples) / len(samples)) / 10 ** (decibels / 20)
    mixed = (round(sample + dice.gauss(0, loudness)) for sample in samples)
    return array.array("h", (max(-32768, min(32767, sample)) for sample in mixed)).tobytes()


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
    """Prints a row for each voice, alone and in noise, and for each recording."""
    import moonshine_voice  # optional

    voices: dict[str, Callable[[str], bytes]] = {"espeak-ng": speak}
    if shutil.which("flite"):
        voices["flite"] = flite
    print(f"\nMoonshine      wrong words      sentences without one (of {len(SENTENCES)})")
    backend = MoonshineBackend()
    try:
        await backend.prepare()
        for name, voice in voices.items():
            for decibels in NOISES:
                wrong = [
                    wrong_words(words_of(said), words_of(await transcribe(backend, in_noise(voice(said), decibels))))
                    for said in SENTENCES
                ]
                share = sum(wrong) / sum(len(words_of(said)) for said in SENTENCES)
                label = name if decibels is None else f"  in {decibels} dB"
                print(f"  {label:<12} {share:10.1%}       {wrong.count(0)}", flush=True)
        folder = Path(moonshine_voice.__file__).parent / "assets"
        for name, said in RECORDINGS.items():
            heard = words_of(await transcribe(backend, read(folder / f"{name}.wav")))
            print(f"  {name:<12} {wrong_words(words_of(said), heard) / len(words_of(said)):10.1%}", flush=True)
    finally:
        await backend.aclose()
