"""Every backend keeps the rules of `workers.asr.base`. What is spoken is two sentences; see `asr_cases`."""

from __future__ import annotations

import asyncio
import difflib
import itertools
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_speech import frames, silence, speak, utterance
from tests.integration.workers.asr.asr_cases import CASE_NAMES, CASES, KEY, Case
from workers.asr.base import AsrConfig, AsrError, AsrEvent, AsrSession

FIRST, SECOND = SENTENCES


@pytest.fixture(params=CASE_NAMES)
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Case]:
    async with CASES[request.param](tmp_path) as made:
        yield made


async def collect(session: AsrSession) -> list[AsrEvent]:
    return [event async for event in session]


async def say(session: AsrSession, pcm: bytes, *, chunk_ms: int = 100, speed: float = 0) -> None:
    """`speed`: times as fast as a person speaks; 0 is as fast as it goes."""
    for chunk in frames(pcm, chunk_ms):
        await session.send(chunk)
        if speed:
            await asyncio.sleep(chunk_ms / 1000 / speed)


async def say_until_it_breaks(session: AsrSession) -> None:
    async with asyncio.timeout(10):
        while True:
            for chunk in frames(speak(FIRST), 100):
                await session.send(chunk)
                await asyncio.sleep(0.01)


async def hear(case: Case, pcm: bytes, *, chunk_ms: int = 100, speed: float = 0) -> list[AsrEvent]:
    """All events of a session that hears `pcm` and is then drained."""
    session = await case.backend.open(AsrConfig())
    reader = asyncio.create_task(collect(session))
    await say(session, pcm, chunk_ms=chunk_ms, speed=speed)
    await session.aclose(timeout=20)
    return await reader


def finals(events: list[AsrEvent]) -> list[str]:
    """The final transcripts. Case, punctuation and a wrong letter or two of a real recogniser do not count."""
    return [nearest(event.text) for event in events if event.kind == "final"]


def nearest(text: str) -> str:
    """The sentence of the tests that a text is nearly equal to, else the text."""
    heard = re.sub(r"[^\w ]", "", text).lower()
    near = difflib.get_close_matches(heard, SENTENCES, n=1, cutoff=0.85)
    return near[0] if near else text


def check_order(events: list[AsrEvent]) -> None:
    """Utterances count up from 1; each starts, may have partials, stops, and has one final."""
    for place, number in enumerate(sorted({event.utterance for event in events}), 1):
        assert number == place
        mine = [event.kind for event in events if event.utterance == number]
        assert mine[0] == "speech_started"
        assert mine[-1] == "final"
        assert mine.count("speech_started") == mine.count("speech_stopped") == mine.count("final") == 1
    assert [event.utterance for event in events] == sorted(event.utterance for event in events)


async def test_two_sentences(case: Case) -> None:
    events = await hear(case, utterance(FIRST) + utterance(SECOND), speed=8)
    check_order(events)
    assert finals(events) == [FIRST, SECOND]
    first, second = [event for event in events if event.kind == "final"]
    assert 0 <= first.start_ms < first.end_ms <= second.start_ms < second.end_ms
    partials = [event.text for event in events if event.kind == "partial" and event.utterance == 1]
    assert partials, "something is heard before the end"
    if not case.free:
        assert all(set(text.split()) <= {*FIRST.split(), *SECOND.split()} for text in partials)
    if case.backend.caps.append_only:
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(partials))


@pytest.mark.parametrize("chunk_ms", [20, 250])
async def test_any_size_of_frame(case: Case, chunk_ms: int) -> None:
    assert finals(await hear(case, utterance(FIRST), chunk_ms=chunk_ms)) == [FIRST]


async def test_flush_ends_the_utterance_now(case: Case) -> None:
    session = await case.backend.open(AsrConfig())
    reader = asyncio.create_task(collect(session))
    await say(session, silence(300) + speak(FIRST))
    await session.flush()
    await say(session, utterance(SECOND))
    await session.aclose(timeout=20)
    events = await reader
    check_order(events)
    assert finals(events) == [FIRST, SECOND]


async def test_flush_of_silence_is_nothing(case: Case) -> None:
    session = await case.backend.open(AsrConfig())
    reader = asyncio.create_task(collect(session))
    await session.flush()
    await say(session, silence(500))
    await session.flush()
    await session.aclose(timeout=20)
    assert [text for text in finals(await reader) if text] == []


async def test_draining_finishes_what_was_said(case: Case) -> None:
    events = await hear(case, silence(300) + speak(FIRST))
    check_order(events)
    assert finals(events) == [FIRST]


async def test_closing_without_draining_ends_at_once(case: Case) -> None:
    session = await case.backend.open(AsrConfig())
    reader = asyncio.create_task(collect(session))
    await say(session, silence(300) + speak(FIRST))
    async with asyncio.timeout(3):
        await session.aclose(drain=False)
        await reader
    await session.aclose()  # again does nothing


async def test_silence_says_nothing(case: Case) -> None:
    assert [text for text in finals(await hear(case, silence(2000))) if text] == []


async def test_a_broken_session_raises_from_both_ends(case: Case) -> None:
    session = await case.backend.open(AsrConfig())
    reader = asyncio.create_task(collect(session))
    await say(session, silence(300) + speak(FIRST)[:24_000])
    await case.cut()
    with pytest.raises(AsrError) as sending:
        await say_until_it_breaks(session)
    with pytest.raises(AsrError) as reading:
        await reader
    for error in (sending.value, reading.value):
        assert error.code == "asr_unavailable"
        assert KEY not in f"{error} {error.detail} {error.message}"
    await session.aclose()
    case.mend()
    assert finals(await hear(case, utterance(FIRST))) == [FIRST], "the next session works"


async def test_sessions_do_not_mix(case: Case) -> None:
    both = await asyncio.gather(hear(case, utterance(FIRST)), hear(case, utterance(FIRST)))
    assert [finals(events) for events in both] == [[FIRST], [FIRST]]


async def test_check_tells_the_backend(case: Case) -> None:
    told = await case.backend.check()
    assert told["backend"] == case.backend.name
    assert KEY not in str(told)
