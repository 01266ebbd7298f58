"""faster-whisper for real, with a model made here that knows one sentence. Not installed by itself: `make whisper`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.asr_speech import frames, utterance
from workers.asr.backends.whisper import FasterWhisper, WhisperBackend
from workers.asr.base import AsrConfig, AsrError, AsrEvent, AsrSession

pytest.importorskip("faster_whisper", reason="requirements/whisper.txt is not installed")

WORDS = ("open", "the", "window")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tests.fakes.tiny_whisper import make_model

    return make_model(tmp_path_factory.mktemp("whisper"), WORDS)


@pytest.fixture
async def backend(folder: str) -> AsyncGenerator[WhisperBackend]:
    backend = WhisperBackend(partial(FasterWhisper, folder, device="cpu", compute_type="int8"))
    await backend.prepare()
    yield backend
    await backend.aclose()


def test_words_have_times_within_the_audio(folder: str) -> None:
    words = FasterWhisper(folder, device="cpu").words(utterance("open the window"), language="en", prompt="")
    assert tuple(word.text for word in words) == WORDS
    times = [(word.start_ms, word.end_ms) for word in words]
    assert times == sorted(times)
    assert all(0 <= start <= end <= 30_000 for start, end in times)


async def test_speech_becomes_words_while_it_is_spoken(backend: WhisperBackend) -> None:
    session = await backend.open(AsrConfig())
    reader = asyncio.create_task(_collect(session))
    for _ in range(2):
        for chunk in frames(utterance("open the window", after=1_200)):
            await session.send(chunk)
            await asyncio.sleep(0.05)
    await session.aclose(timeout=20)
    events = await reader
    finals = [event.text for event in events if event.kind == "final"]
    assert finals == [" ".join(WORDS)] * 2
    assert {event.text for event in events if event.kind == "partial"} == {" ".join(WORDS)}
    assert (await backend.check())["loaded"] is True


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_folder_without_a_model_says_so(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    if content is not None:
        (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(AsrError) as caught:
        FasterWhisper(str(tmp_path))
    assert "model" in caught.value.detail
    assert not caught.value.retryable


def test_without_a_tokenizer_nothing_is_fetched(folder: str, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(Path(folder, "model.bin").read_bytes())
    with pytest.raises(AsrError, match=r"lacks tokenizer\.json"):
        FasterWhisper(str(tmp_path))


async def _collect(session: AsrSession) -> list[AsrEvent]:
    return [event async for event in session]
