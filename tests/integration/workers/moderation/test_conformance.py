"""Every backend of judges keeps the same rules (`workers/moderation/base.py`), whatever the server does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import cast

import pytest
import structlog
from pytest_django.fixtures import Settings

from chat.models.moderation import Action, Category, Direction, Severity
from tests.fakes.judge_server import MISBEHAVIOURS, JudgeServer
from workers.moderation.base import GARBAGE, MOST_CHARS, OPEN, TIMEOUT, JudgeBackend, JudgeError, Picture
from workers.moderation.config import BackendKind, CategoryPolicy, JudgeDefinition
from workers.moderation.judge import Judge, split
from workers.moderation.registry import make_backend
from workers.providers.circuit_breaker import FAILURES, CircuitBreaker
from workers.providers.config import Definition
from workers.providers.model_facts import ModelFacts

KEY = "sk-judge-canary-51c9"
TEXT = "a text that no log may have"
LONG = 20.0  # seconds, for a test that waits for something else
HANGS = {"never", "slow", "endless"}  # until the time is over


def judging(server: JudgeServer, backend: str, **more: object) -> JudgeDefinition:
    endpoint = Definition(id="e", name="e", base_url=server.url, api_key=KEY)
    return JudgeDefinition(
        id="j", name="Judge", version=1, backend=cast("BackendKind", backend), model="m", endpoint=endpoint,
        directions=frozenset({Direction.ASKED}), seconds=LONG, behind_seconds=LONG,
        policies=(CategoryPolicy(Category.HARASSMENT, 0.5, Action.BLOCK, Severity.HIGH),), **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(params=["openai", "guard", "json"])
async def server(request: pytest.FixtureRequest) -> AsyncGenerator[JudgeServer]:
    async with JudgeServer(guard=request.param == "guard") as running:
        running.kind = request.param  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def definition(server: JudgeServer) -> JudgeDefinition:
    return judging(server, server.kind)  # type: ignore[attr-defined]


@pytest.fixture
async def backend(definition: JudgeDefinition) -> AsyncGenerator[JudgeBackend]:
    made = make_backend(definition, ModelFacts())
    yield made
    await made.aclose()


async def test_a_hit_and_a_harmless_text(server: JudgeServer, backend: JudgeBackend) -> None:
    server.says("harassment", 0.9, about="insult")
    found = await backend.judge("an insult")
    assert found.scores[Category.HARASSMENT] >= 0.9
    assert found.usage is not None
    assert found.usage.input_tokens > 0
    harmless = await backend.judge("a compliment")
    assert harmless.scores.get(Category.HARASSMENT, 0.0) < 0.1
    assert "an insult" in server.texts[0]
    assert server.keys == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("how", [one for one in MISBEHAVIOURS if one not in HANGS])
async def test_whatever_comes_is_a_verdict_or_an_error(
    server: JudgeServer, backend: JudgeBackend, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.says("harassment", 0.9)
    server.misbehaves(how)
    with structlog.testing.capture_logs() as logs:
        try:
            async with asyncio.timeout(LONG):
                opinion = await backend.judge(TEXT)
        except JudgeError as error:
            said = f"{error!r} {vars(error)}"
        else:
            assert how == "cut", "what ends too early may have said all there is to say"
            assert opinion.scores[Category.HARASSMENT] >= 0.9
            said = ""
    for place in (said, str(logs), caplog.text):
        assert KEY not in place
        assert TEXT not in place


@pytest.mark.parametrize(("model", "sees"), [("omni-moderation-latest", True), ("text-moderation-latest", False)])
async def test_pictures_go_to_the_moderation_api_where_its_model_reads_them(model: str, sees: bool) -> None:
    async with JudgeServer() as server:
        server.says("violence/graphic", 0.8, about="data:image/png;base64,UElYRUxT")
        made = make_backend(replace(judging(server, "openai"), model=model), ModelFacts())
        judge = Judge(judging(server, "openai"), made, CircuitBreaker(60.0))
        found = await judge.judge("Look.", LONG, [Picture("image/png", b"PIXELS")])
        await judge.aclose()
    assert made.sees is sees
    assert found.away == ""
    assert found.scores.get(Category.VIOLENCE, 0.0) == (0.8 if sees else 0.0)
    assert len(server.texts) == (2 if sees else 1)


async def test_garbage_is_named_as_such(server: JudgeServer, backend: JudgeBackend) -> None:
    server.misbehaves("garbage")
    with pytest.raises(JudgeError) as caught:
        await backend.judge(TEXT)
    assert caught.value.code == GARBAGE


@pytest.mark.parametrize("how", sorted(HANGS))
async def test_a_cancellation_closes_the_connection(server: JudgeServer, backend: JudgeBackend, how: str) -> None:
    server.misbehaves(how)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await backend.judge(TEXT)
    async with asyncio.timeout(LONG):
        while not server.gone:
            await asyncio.sleep(0.01)


async def test_many_at_once_do_not_mix(server: JudgeServer, backend: JudgeBackend) -> None:
    server.says("harassment", 0.9, about="number 7 ")
    found = await asyncio.gather(*(backend.judge(f"number {number} of many") for number in range(20)))
    scores = [opinion.scores.get(Category.HARASSMENT, 0.0) for opinion in found]
    assert [number for number, score in enumerate(scores) if score > 0.5] == [7]


# --- the judge around the backend ------------------------------------------------------------------------------------


def judge_of(definition: JudgeDefinition, seconds: float = 60.0) -> Judge:
    return Judge(definition, make_backend(definition, ModelFacts()), CircuitBreaker(seconds))


async def test_a_judge_that_fails_is_away_and_is_not_asked_for_a_while(
    server: JudgeServer, definition: JudgeDefinition, settings: Settings
) -> None:
    judge = judge_of(definition)
    server.misbehaves("garbage")
    for _ in range(FAILURES):
        judgement = await judge.judge(TEXT, LONG)
        assert (judgement.away, judgement.hits) == (GARBAGE, ())
        assert judge.away
    asked = len(server.texts)
    server.misbehaves(None)
    assert (await judge.judge(TEXT, LONG)).away == OPEN
    assert len(server.texts) == asked, "its circuit breaker is open"
    await judge.aclose()


async def test_it_is_asked_again_after_a_while(server: JudgeServer, definition: JudgeDefinition) -> None:
    judge = judge_of(definition, seconds=0.0)
    server.misbehaves("garbage")
    for _ in range(FAILURES):
        await judge.judge(TEXT, LONG)
    server.misbehaves(None)
    server.says("harassment", 0.9)
    judgement = await judge.judge(TEXT, LONG)
    assert [hit.category for hit in judgement.hits] == [Category.HARASSMENT]
    assert not judge.away
    await judge.aclose()


async def test_it_has_so_much_time_and_no_more(server: JudgeServer, definition: JudgeDefinition) -> None:
    judge = judge_of(definition)
    server.misbehaves("never")
    began = time.monotonic()
    judgement = await judge.judge(TEXT, 0.2)
    assert judgement.away == TIMEOUT
    assert time.monotonic() - began < LONG / 2
    await judge.aclose()


async def test_a_long_text_is_judged_in_pieces(server: JudgeServer, definition: JudgeDefinition) -> None:
    judge = judge_of(definition)
    server.says("harassment", 0.9, about="needle")
    text = "hay " * 10_000
    for place in (0, MOST_CHARS - 3, len(text) // 2, len(text)):
        judgement = await judge.judge(f"{text[:place]}needle{text[place:]}", LONG)
        assert judgement.hits, place
        assert len(judgement.spent) == len(split(text)) > 1
    assert all(len(one) < 2 * MOST_CHARS for one in server.texts)
    server.misbehaves("error")
    assert (await judge.judge(text, LONG)).away == "upstream_error"
    await judge.aclose()


@pytest.mark.parametrize("length", [0, 1, MOST_CHARS, MOST_CHARS + 1, 3 * MOST_CHARS])
def test_pieces_have_all_of_the_text(length: int) -> None:
    text = "".join(chr(0x4E00 + at % 20_000) for at in range(length))
    pieces = split(text)
    assert all(len(piece) <= MOST_CHARS for piece in pieces)
    assert all(any(text[at : at + 100] in piece for piece in pieces) for at in range(0, length, 50))


async def test_one_that_cannot_be_used_says_so(server: JudgeServer, definition: JudgeDefinition) -> None:
    judge = Judge(replace(definition, trouble="Its endpoint is off."), None, CircuitBreaker(1.0))
    assert judge.away
    assert (await judge.judge(TEXT, LONG)).away == OPEN
    assert server.texts == []
