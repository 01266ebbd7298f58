"""What goes wrong at the far end of hosted recognisers: refusals, errors, garbage, silence. Keys stay secret."""

from __future__ import annotations

import asyncio
import logging
import logging.config
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.asr_assemblyai import FakeAssemblyAI
from tests.fakes.asr_deepgram import FakeDeepgram
from tests.fakes.asr_deepgram_flux import FakeFlux
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_speech import silence, speak, utterance
from tests.integration.workers.asr.asr_cases import CASES, KEY
from tests.integration.workers.asr.test_conformance import collect, finals, hear, say
from workers.asr.backends.assemblyai import AssemblyAIBackend
from workers.asr.backends.deepgram import DeepgramBackend, DeepgramSession
from workers.asr.backends.openai_http import HttpBackend
from workers.asr.backends.openai_realtime import RealtimeBackend
from workers.asr.backends.speechmatics import SpeechmaticsBackend
from workers.asr.base import AsrBackend, AsrConfig, AsrError

FIRST, SECOND = SENTENCES
REMOTE = (
    "deepgram",
    "deepgram_flux",
    "assemblyai",
    "speechmatics",
    "openai_realtime",
    "openai_realtime_beta",
    "openai_realtime_vad",
    "openai_http",
)
SOCKETS = REMOTE[:-1]
NOBODY = "ws://127.0.0.1:9"


def secret_free(error: AsrError) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if KEY in f"{seen!r} {seen} {vars(seen)}":
            return False
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return True


async def first_error(backend: AsrBackend) -> AsrError:
    """What comes of a recording; HTTP fails with the first utterance, sockets when they open."""
    with pytest.raises(AsrError) as caught:
        await _listen(backend)
    return caught.value


async def _listen(backend: AsrBackend) -> None:
    session = await backend.open(AsrConfig())
    reader = asyncio.create_task(collect(session))
    try:
        await say(session, utterance(FIRST))
        await session.flush()
    finally:
        await session.aclose()
        await asyncio.gather(reader, return_exceptions=True)
    reader.result()


@pytest.mark.parametrize("name", REMOTE)
async def test_a_wrong_key_is_refused_for_good(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # as a process does when it starts
    async with CASES[name](tmp_path) as case:
        case.server.key = "another"
        error = await first_error(case.backend)
        assert (error.code, error.retryable) == ("asr_unavailable", False)
        assert "401" in error.detail
        assert secret_free(error)
    records = [record for record in caplog.records if not record.name.startswith("websockets.server")]
    assert KEY not in "".join(f"{record.getMessage()} {record.__dict__}" for record in records)
    assert KEY not in capfd.readouterr().err.replace("websockets.server", "")
    assert KEY not in repr(case.backend)


@pytest.mark.parametrize(
    "backend",
    [
        DeepgramBackend(KEY, NOBODY),
        AssemblyAIBackend(KEY, NOBODY),
        SpeechmaticsBackend(KEY, NOBODY),
        RealtimeBackend(KEY, NOBODY),
        HttpBackend(KEY, url="http://127.0.0.1:9/v1"),
    ],
    ids=lambda backend: backend.name,
)
async def test_nobody_there(backend: AsrBackend) -> None:
    error = await first_error(backend)
    assert (error.code, error.retryable) == ("asr_unavailable", True)
    assert secret_free(error)


@pytest.mark.parametrize("name", SOCKETS)
async def test_garbage_ends_the_session(name: str, tmp_path: Path) -> None:
    async with CASES[name](tmp_path) as case:
        case.server.script = "garbage"
        error = await first_error(case.backend)
        assert "unknown message" in error.detail
        assert secret_free(error)


async def test_a_server_error_over_http(tmp_path: Path) -> None:
    async with CASES["openai_http"](tmp_path) as case:
        for status, code, retryable in (
            (500, "asr_unavailable", True),
            (429, "busy", True),
            (404, "asr_unavailable", False),
        ):
            case.server.status = status
            error = await first_error(case.backend)
            assert (error.code, error.retryable) == (code, retryable)


async def test_a_service_that_says_nothing_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with FakeDeepgram.run(KEY) as server:
        server.script = "silent"
        session = await DeepgramBackend(KEY, server.url).open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        await say(session, utterance(FIRST))
        async with asyncio.timeout(3):
            await session.aclose(timeout=0.3)
            assert await reader == []


async def test_deepgram_ends_by_utterance_end_where_noise_keeps_speech_final_away(tmp_path: Path) -> None:
    async with CASES["deepgram"](tmp_path) as case:
        case.server.script = "no_speech_final"
        assert finals(await hear(case, utterance(FIRST) + utterance(SECOND))) == [FIRST, SECOND]


async def test_deepgram_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeepgramSession, "keep_alive_seconds", 0.02)
    heard: list[Any] = []
    alive = asyncio.Event()

    class Listening(FakeDeepgram):
        async def messages(self, connection: Any) -> Any:
            async for message in super().messages(connection):
                heard.append(message)
                if heard.count('{"type": "KeepAlive"}') >= 2:
                    alive.set()
                yield message

    async with Listening.run(KEY) as server:
        session = await DeepgramBackend(KEY, server.url).open(AsrConfig())
        async with asyncio.timeout(3):
            await alive.wait()
        await session.aclose()


async def test_assemblyai_is_always_terminated() -> None:
    async with FakeAssemblyAI.run(KEY) as server:
        backend = AssemblyAIBackend(KEY, server.url)
        for drain in (True, False):
            session = await backend.open(AsrConfig())
            await say(session, silence(300) + speak(FIRST))
            await session.aclose(drain=drain)
        async with asyncio.timeout(3):
            while server.connections:
                await asyncio.sleep(0.01)
        assert server.terminated == 2


async def test_assemblyai_takes_a_plain_end_where_the_formatted_one_never_comes() -> None:
    async with FakeAssemblyAI.run(KEY) as server:
        server.script = "unformatted"
        session = await AssemblyAIBackend(KEY, server.url, "universal-streaming-english").open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        await say(session, utterance(FIRST) + utterance(SECOND))
        await session.aclose()
        assert finals(await reader) == [FIRST, SECOND]


async def test_http_posts_the_growing_utterance(tmp_path: Path) -> None:
    async with CASES["openai_http"](tmp_path) as case:
        await hear(case, utterance(FIRST), speed=10)
        posts = case.server.posts
        assert len(posts) >= 2
        assert posts == sorted(posts)


async def test_the_wrong_form_is_refused_in_words(tmp_path: Path) -> None:
    async with CASES["openai_realtime"](tmp_path) as case:
        case.server.beta = True
        error = await first_error(case.backend)
        assert "400" in error.detail


async def test_assemblyai_gets_what_its_models_take() -> None:
    async with FakeAssemblyAI.run(KEY) as server:
        for model, languages in (("universal-3-5-pro", ["de"]), ("universal-streaming-english", [])):
            session = await AssemblyAIBackend(KEY, server.url, model).open(AsrConfig(language="de-AT"))
            await session.aclose()
            assert (server.languages, server.format_turns) == (languages, not languages)


@pytest.mark.parametrize("model", ["flux-general-en", "flux-general-multi"])
async def test_flux_gets_what_its_models_take(model: str) -> None:
    async with FakeFlux.run(KEY) as server:
        session = await DeepgramBackend(KEY, server.url, model).open(AsrConfig(language="de-AT", vocabulary=("Spree",)))
        await session.aclose()
        assert server.query["model"] == [model]
        assert server.query["keyterm"] == ["Spree"]
        assert server.query.get("language_hint") == (["de"] if model == "flux-general-multi" else None)
        assert "language" not in server.query, "an API v2 request with it is refused"


async def test_a_turn_that_flux_resumes_is_one_utterance() -> None:
    async with FakeFlux.run(KEY) as server:
        server.script = "resumed"
        session = await DeepgramBackend(KEY, server.url, "flux-general-en").open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        await say(session, utterance(FIRST) + utterance(SECOND))
        await session.aclose()
        assert finals(await reader) == [FIRST, SECOND]
