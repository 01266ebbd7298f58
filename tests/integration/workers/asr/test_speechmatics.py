"""What is Speechmatics' own: what a session asks for, its start, its errors in band, and how its texts are joined."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_speech import silence, speak, utterance
from tests.fakes.asr_speechmatics import FakeSpeechmatics
from tests.integration.workers.asr.asr_cases import KEY
from tests.integration.workers.asr.test_conformance import collect, finals, say
from workers.asr.backends import speechmatics
from workers.asr.backends.speechmatics import SpeechmaticsBackend
from workers.asr.base import AsrConfig, AsrError

FIRST, SECOND = SENTENCES


async def closed(server: FakeSpeechmatics) -> None:
    async with asyncio.timeout(3):
        while server.connections:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("language", "asked", "spelling"),
    [("en-GB", "en", "en-GB"), ("en", "en", None), ("de-AT", "de", None), ("zh-Hans", "cmn", None), ("nb", "no", None)],
)
async def test_it_is_told_the_language_in_its_own_names(language: str, asked: str, spelling: str | None) -> None:
    async with FakeSpeechmatics.run(KEY) as server:
        config = AsrConfig(language=language, vocabulary=("Spree",), endpoint_silence_ms=700)
        await (await SpeechmaticsBackend(KEY, server.url).open(config)).aclose()
        assert (server.config["language"], server.config.get("output_locale")) == (asked, spelling)
        assert server.config["additional_vocab"] == [{"content": "Spree"}]
        assert server.config["model"] == "enhanced"
        silence_s = server.config["conversation_config"]["end_of_utterance_silence_trigger"]
        assert silence_s == 0.7 < server.config["max_delay"]


async def test_a_long_silence_is_within_what_it_takes() -> None:
    async with FakeSpeechmatics.run(KEY) as server:
        session = await SpeechmaticsBackend(KEY, server.url).open(AsrConfig(endpoint_silence_ms=3_000))
        await session.aclose()
        assert server.config["conversation_config"]["end_of_utterance_silence_trigger"] == 2


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        ("not_authorised", "asr_unavailable", False), ("invalid_language", "asr_unavailable", False),
        ("quota_exceeded", "busy", True), ("timelimit_exceeded", "busy", True), ("job_error", "asr_unavailable", True),
    ],
)  # fmt: skip
async def test_a_refusal_of_the_session_is_told_by_its_kind(kind: str, code: str, retryable: bool) -> None:
    async with FakeSpeechmatics.run(KEY) as server:
        server.refuses = kind
        with pytest.raises(AsrError) as caught:
            await SpeechmaticsBackend(KEY, server.url).open(AsrConfig())
        assert (caught.value.code, caught.value.retryable) == (code, retryable)
        assert kind in caught.value.detail
        assert KEY not in f"{caught.value!r} {caught.value.detail}", "the reason repeats the key"
        await closed(server)


async def test_a_service_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speechmatics, "START_SECONDS", 0.2)
    async with FakeSpeechmatics.run(KEY) as server:
        server.script = "no_start"
        with pytest.raises(AsrError, match="did not start"):
            await SpeechmaticsBackend(KEY, server.url).open(AsrConfig())
        await closed(server)


async def test_words_become_final_one_by_one_and_partials_have_all_of_them() -> None:
    async with FakeSpeechmatics.run(KEY) as server:
        session = await SpeechmaticsBackend(KEY, server.url).open(AsrConfig())
        reader = asyncio.create_task(collect(session))
        await say(session, utterance(FIRST) + silence(300) + speak(SECOND))
        await session.aclose()
        events = await reader
        assert finals(events) == [FIRST, SECOND], "the second ends with the stream"
        partials = [event.text for event in events if event.kind == "partial" and event.utterance == 1]
        assert partials[-1] == FIRST
        assert all(FIRST.startswith(text) for text in partials)
        assert server.last_seq_no > 0
