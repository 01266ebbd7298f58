"""A recogniser that breaks is opened again, or the next one of the chain is, and nothing that was said is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from tests.fakes.asr_deepgram import FakeDeepgram
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import needs_moonshine, needs_pocketsphinx
from tests.fakes.asr_socket import SocketServer
from tests.fakes.asr_speech import BYTES_PER_MS, silence, speak, tone, utterance
from tests.integration.workers.asr.asr_cases import CASE_NAMES, CASES, KEY, LOCAL
from tests.integration.workers.asr.test_conformance import check_order, collect, finals, say
from workers.asr import chain as chain_module
from workers.asr import registry
from workers.asr.audio.vad import QUIET_MS
from workers.asr.backends.deepgram import DeepgramBackend
from workers.asr.base import AsrConfig, AsrError, AsrEvent
from workers.asr.chain import Chain
from workers.asr.registry import open_chain

FIRST, SECOND = SENTENCES
HALF = len(speak(SECOND)) // 64 * 32
NOBODY = DeepgramBackend(KEY, "ws://127.0.0.1:9")


def without_news(events: list[AsrEvent]) -> list[AsrEvent]:
    return [event for event in events if event.kind != "reconnected"]


@pytest.mark.parametrize("name", CASE_NAMES)
async def test_cut_in_the_middle_of_an_utterance(name: str, tmp_path: Path) -> None:
    async with CASES[name](tmp_path) as case:
        if isinstance(case.server, SocketServer):
            case.server.keeps_place = True
        session = await Chain([case.backend]).open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        await say(session, utterance(FIRST) + silence(300) + speak(SECOND)[:HALF], speed=8)
        await case.cut()
        case.mend()
        await say(session, speak(SECOND)[HALF:] + silence(900), speed=8)
        await session.aclose(timeout=20)
        events = await reader
        check_order(without_news(events))
        assert finals(events) == [FIRST, SECOND]
        if isinstance(case.server, SocketServer):
            # The scripted servers say the sentence of any sound: what counts is that the second one heard all of it.
            assert case.server._ears is not None
            assert case.server._ears.heard_ms >= len(speak(SECOND)) // BYTES_PER_MS + QUIET_MS
        if name not in ("openai_http", "openai_http_json", "whisper"):  # these may not have been asked in between
            assert [event.kind for event in events].count("reconnected") == session.reconnects >= 1


async def test_the_next_backend_takes_over(tmp_path: Path) -> None:
    async with CASES[LOCAL](tmp_path) as local, FakeDeepgram.run(KEY) as server:
        hosted = DeepgramBackend(KEY, server.url)
        session = await Chain([hosted, local.backend]).open(AsrConfig())
        assert session.backend == "deepgram"
        reader = asyncio.create_task(collect(session))
        await say(session, silence(300) + speak(FIRST)[:HALF])
        server.key = "changed"  # from now on nobody gets in
        await server.cut()
        await say(session, speak(FIRST)[HALF:] + silence(900))
        assert session.backend == LOCAL
        await session.aclose(timeout=20)
        events = await reader
        check_order(without_news(events))
        assert finals(events) == [FIRST]


async def test_the_first_that_opens_is_used(tmp_path: Path) -> None:
    async with CASES[LOCAL](tmp_path) as local:
        session = await Chain([NOBODY, local.backend]).open(AsrConfig())
        assert session.backend == LOCAL
        await session.aclose()


async def test_nobody_left() -> None:
    with pytest.raises(AsrError):
        await Chain([NOBODY, NOBODY]).open(AsrConfig())
    with pytest.raises(AsrError):
        await Chain([]).open(AsrConfig())
    async with FakeDeepgram.run(KEY) as server:
        session = await Chain([DeepgramBackend(KEY, server.url), NOBODY]).open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        await say(session, silence(300) + speak(FIRST)[:HALF])
        server.key = "changed"
        await server.cut()
        with pytest.raises(AsrError):
            await say(session, tone(30_000), speed=50)
        with pytest.raises(AsrError):
            await reader
        await session.aclose()


async def test_a_service_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "HANG_MS", 600)
    async with FakeDeepgram.run(KEY) as server:
        session = await Chain([DeepgramBackend(KEY, server.url)]).open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        server.script = "silent"
        await say(session, silence(300) + speak(FIRST)[:HALF])
        server.script = ""
        await say(session, speak(FIRST)[HALF:] + silence(900), speed=4)  # it answers meanwhile
        await session.aclose()
        assert finals(await reader) == [FIRST]
        assert session.reconnects == 1


@pytest.mark.parametrize(
    "name", [pytest.param("moonshine", marks=needs_moonshine), pytest.param("pocketsphinx", marks=needs_pocketsphinx)]
)
async def test_a_recogniser_comes_back_when_its_process_was_killed(tmp_path: Path, name: str) -> None:
    async with CASES[name](tmp_path) as case:
        pool = case.backend.pool  # type: ignore[attr-defined]  # of both backends
        assert pool._process is not None
        pool._process.kill()
        session = await Chain([case.backend]).open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        await say(session, utterance(FIRST))
        await session.aclose(timeout=20)
        assert finals(await reader) == [FIRST]
        assert pool.starts == 2


def test_settings_are_checked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(ASR_BACKENDS=["pocketsphinks"]), pytest.raises(ImproperlyConfigured, match="pocketsphinks"):
        open_chain()
    with (
        override_settings(ASR_BACKENDS=["deepgram"], DEEPGRAM_API_KEY=""),
        pytest.raises(ImproperlyConfigured, match="DEEPGRAM_API_KEY"),
    ):
        open_chain()
    monkeypatch.setattr(registry, "find_spec", lambda _name: "installed")
    every = ["moonshine", "pocketsphinx", "deepgram", "assemblyai", "openai_realtime", "openai_http", "whisper"]
    with override_settings(
        ASR_BACKENDS=every,
        DEEPGRAM_API_KEY="k",
        ASSEMBLYAI_API_KEY="k",
        OPENAI_API_KEY="k",
        WHISPER_MODEL_DIR="/nowhere",
    ):
        assert [backend.name for backend in open_chain().backends] == every


@pytest.mark.parametrize("name", ["moonshine", "pocketsphinx"])
def test_a_recogniser_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda _name: None)
    with override_settings(ASR_BACKENDS=[name]), pytest.raises(ImproperlyConfigured) as refused:
        open_chain()
    assert str(refused.value).startswith("ASR_BACKENDS: ")
    assert f"make {name}" in str(refused.value)
    assert f"pip install -r requirements/{name}.txt" in str(refused.value)
    with override_settings(ASR_BACKENDS=[]):
        assert open_chain().backends == []
