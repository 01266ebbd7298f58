"""`python -m tests.bench.voice`: how long speech takes, with how many speakers at once, and what it costs.

Everything runs as in production: web, worker, Redis, PostgreSQL. Speakers send 100 ms frames at the pace of speech,
each when its last sample would have been recorded. Moonshine recognises them; where it is not installed, a scripted
OpenAI Realtime takes its place. The second table is a scripted Deepgram in this process, which answers at once: what is
left is the time that the audio and the transcript take to get there and back. Then come speech from the server
(`first_sound`; also with Kokoro, where KOKORO_MODEL and KOKORO_VOICES name its files), interruptions of an answer
(`barge_in`), eight people at once with the default limits (`many_speakers`), and how many words of twenty sentences are
wrong (`word_errors`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import psutil

from tests.bench import word_errors
from tests.bench.barge_in import barge_ins
from tests.bench.first_sound import first_sounds
from tests.bench.many_speakers import crowd_of
from tests.client import Client, session
from tests.fakes.asr_deepgram import FakeDeepgram
from tests.fakes.asr_ears import QUIET_MS, Ears
from tests.fakes.asr_openai import FakeRealtime
from tests.fakes.asr_recognisers import KEY, MOONSHINE_INSTALLED, realtime, run_in_thread
from tests.fakes.asr_speech import BYTES_PER_MS, frames, silence, speak
from tests.integration.workers.speech.recordings import HEADER
from tests.servers import servers
from tests.stack import Stack, run_stack

FRAME_MS: Final = 100
PEOPLE: Final = 8
SENTENCES: Final = ("please open the window and call the doctor", "we will meet again at the station tomorrow morning")


@dataclass
class Timings:
    """Milliseconds, one for each utterance."""

    first_partial: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)
    lost_ms: int = 0
    way: list[float] = field(default_factory=list)  # frame that ends the utterance -> its final


@dataclass
class Cost:
    cpu: float = 0.0  # share of a core for each speaker, over the whole recording
    memory_mb: float = 0.0  # of the process that has the model, that it does not share


def script(sentences: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Audio, and where in it each utterance begins and ends (ms)."""
    pcm, places = silence(500), []
    for number in range(sentences):
        spoken = speak(SENTENCES[number % len(SENTENCES)])
        start = len(pcm) // BYTES_PER_MS + next(_loud(spoken))
        pcm += spoken
        places.append((start, len(pcm) // BYTES_PER_MS))
        pcm += silence(1500)
    return pcm, places


def _loud(pcm: bytes) -> Iterator[int]:
    """The milliseconds at which `Ears` hears something."""
    ears = Ears(endpointing=False)
    for chunk in frames(pcm, 20):
        ears.feed(chunk.ljust(20 * BYTES_PER_MS, b"\0"))
        if ears.speaking:
            yield ears.heard_ms - 20


async def speaker(client: Client, sentences: int, timings: Timings) -> str:
    """Speaks, and waits for the finals; the recording, which is still open."""
    started = await client.ask(
        "audio.start", conversation_id=None, client_id=str(uuid.uuid4()), encoding="pcm_s16le", sample_rate=16000,
        mode="auto", auto_send=False,
    )  # fmt: skip
    assert started["type"] == "audio.started", started
    recording = str(started["recording_id"])
    pcm, places = script(sentences)
    sent: list[float] = []
    began = time.monotonic()
    for number, chunk in zip(count(), frames(pcm, FRAME_MS), strict=False):
        await asyncio.sleep(began + (number + 1) * FRAME_MS / 1000 - time.monotonic())
        await client.ws.send_bytes(HEADER.pack(1, 0, started["stream"], number) + chunk.ljust(3200, b"\0"))
        sent.append(time.monotonic())
    with contextlib.suppress(TimeoutError):  # on a machine that is too slow, audio is dropped and said to be
        await client.until(lambda: len(_seen(client, "transcript.final", recording)) >= len(places), "finals")
    warnings = [frame for _, frame in _seen(client, "audio.warning", recording) if frame["code"] == "audio_dropped"]
    timings.lost_ms += sum(frame["ms"] for frame in warnings)
    firsts: dict[int, float] = {}
    for at, frame in _seen(client, "transcript.partial", recording):
        firsts.setdefault(frame["utterance"], at)
    for at, frame in _seen(client, "transcript.final", recording):
        if frame["utterance"] > len(places):
            continue
        start, end = places[frame["utterance"] - 1]
        if frame["utterance"] in firsts:
            timings.first_partial.append((firsts[frame["utterance"]] - began) * 1000 - start)
        timings.final.append((at - began) * 1000 - end)
        decided = (
            -(-(frame["end_ms"] + QUIET_MS) // FRAME_MS) - 1
        )  # the frame in which the scripted server heard the end
        timings.way.append((at - sent[min(decided, len(sent) - 1)]) * 1000)
    return recording


def _seen(client: Client, kind: str, recording: str) -> list[tuple[float, dict[str, Any]]]:
    return [
        (at, frame)
        for at, frame in zip(client.times, client.frames, strict=True)
        if frame["type"] == kind and frame.get("recording_id") == recording
    ]


async def measure(stack: Stack, speakers: int, sentences: int) -> tuple[Timings, Cost]:
    timings, cost = Timings(), Cost()
    async with session(stack.url) as alice:
        clients = [await alice.connect() for _ in range(speakers)]
        before, began = cpu_of(stack), time.monotonic()
        recordings = await asyncio.gather(*(speaker(client, sentences, timings) for client in clients))
        cost.cpu = (cpu_of(stack) - before) / (time.monotonic() - began) / speakers
        decoders = decoders_of(stack)
        if decoders:
            cost.memory_mb = statistics.mean(p.memory_full_info().uss for p in decoders) / 2**20
        for client, recording in zip(clients, recordings, strict=True):
            await client.ask("audio.stop", recording_id=recording)
            await client.next("audio.closed", recording_id=recording)
            await client.close()
    return timings, cost


def cpu_of(stack: Stack) -> float:
    """Seconds that web, worker and all decoders (they must be alive) have worked."""
    total = 0.0
    for process in stack.processes:
        known = psutil.Process(process.pid)
        for one in (known, *known.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def decoders_of(stack: Stack) -> list[psutil.Process]:
    children = psutil.Process(stack.workers[0].pid).children()
    return [one for one in children if "moonshine_process" in " ".join(one.cmdline())]


def percentiles(values: list[float]) -> str:
    ordered = sorted(values)
    if not ordered:
        return "      —       "
    return f"{statistics.median(ordered):5.0f} / {ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]:5.0f}"


async def show(speakers: list[int], sentences: int, env: dict[str, str]) -> None:
    """Measures with a recogniser whose utterances are found by our own voice activity detection; prints a row each."""
    with run_stack(env=env) as stack:
        await measure(stack, 1, 1)  # the first is for caches
        for number in speakers:
            timings, cost = await measure(stack, number, sentences)
            first, final = percentiles(timings.first_partial), percentiles(timings.final)
            lost = f"   lost {timings.lost_ms} ms of audio" if timings.lost_ms else ""
            memory = f"{cost.memory_mb:5.0f} MB" if cost.memory_mb else ""
            print(f"  {number:<12} {first}     {final}    {cost.cpu:6.0%}          {memory}{lost}", flush=True)


async def run(speakers: list[int], sentences: int) -> None:
    common = {"RECORDINGS_PER_USER": "99", "RECORDINGS_AT_ONCE": "99", "ASR_SPEAKERS": "99"}
    print(f"speech: {psutil.cpu_count()} cores, {sentences} utterances each; ms p50 / p95\n")
    if MOONSHINE_INSTALLED:
        print("Moonshine      first partial     final            CPU of a core   memory")
        print("  speakers     after start       after end        per speaker     of its process")
        await show(speakers, sentences, {**common, "ASR_BACKENDS": "moonshine"})
    else:
        print("scripted       first partial     final            CPU of a core   (Moonshine is not installed;")
        print("  speakers     after start       after end        per speaker      OpenAI Realtime, our voice activity)")
        with run_in_thread(lambda: FakeRealtime.run(KEY)) as realtime_server:
            await show(speakers, sentences, common | realtime(realtime_server).env)
    print("\nscripted hosted backend: from the frame that ends an utterance to its final")
    async with FakeDeepgram.run(KEY) as server:
        env = {**common, "ASR_BACKENDS": "deepgram", "DEEPGRAM_API_KEY": KEY, "DEEPGRAM_URL": server.url}
        manager = run_stack(env=env)
        stack = await asyncio.to_thread(manager.__enter__)
        try:
            for number in speakers:
                timings, cost = await measure(stack, number, sentences)
                print(f"  {number:<12} {percentiles(timings.way)}                      {cost.cpu:6.0%}", flush=True)
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)

    await show_speech(sentences)
    if MOONSHINE_INSTALLED:
        crowd = await crowd_of(PEOPLE)
        print(f"\n{PEOPLE} people begin to speak at once, with the default limits")
        print(f"  heard        {len(crowd.final_ms)}: final {percentiles(crowd.final_ms)}")
        print(f"  told         {len(crowd.told_ms)}: after {percentiles(crowd.told_ms)}")
        print(f"  neither      {crowd.lost}", flush=True)
        await word_errors.show()


async def show_speech(sentences: int) -> None:
    """Speech from the server, and interruptions of it; prints a row each."""
    print("\nspeech from the server that is made at once: from a sentence to its first sound")
    for listeners, found in (await first_sounds(3 * sentences)).items():
        print(f"  {listeners:<12} {percentiles(found)}", flush=True)
    files = {name: os.environ.get(name, "") for name in ("KOKORO_MODEL", "KOKORO_VOICES")}
    if all(files.values()):
        print("\nspeech by Kokoro on this machine: from a sentence to its first sound")
        env = {"SPEECH_BACKENDS": "kokoro", "SPEECH_VOICES": os.environ.get("SPEECH_VOICES", "jf_alpha"), **files}
        for listeners, found in (await first_sounds(sentences, env, [1])).items():
            print(f"  {listeners:<12} {percentiles(found)}", flush=True)
    print("\na spoken answer is interrupted: from the first sound of speech to silence")
    print(f"  Chromium     {percentiles(await asyncio.to_thread(barge_ins, sentences))}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.voice", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two speakers, two utterances")
    parser.add_argument("--speakers", type=lambda text: [int(n) for n in text.split(",")], help="default: 1,2,4,8")
    options = parser.parse_args()
    servers.set_environment()
    servers.start()
    try:
        asyncio.run(run(options.speakers or ([2] if options.quick else [1, 2, 4, 8]), 2 if options.quick else 6))
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
